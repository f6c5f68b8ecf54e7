// Axes: from numbers to pixels, and the numbers that stand beside them.

const DECADES = 50; // how many times the least the largest must be for an axis to count in powers of ten

/** Round numbers from `low` to `high`, about `count` of them. */
function ticks(low, high, count = 4) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((s) => s * power).find((s) => s >= rough) ?? 10 * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) found.push(i * step);
  return found;
}

/** {place(value) in 0..1, ticks, log} of an axis that holds these numbers, all of them at least 0. */
function axisOf(values) {
  const high = Math.max(...values, 0) || 1;
  const positive = values.filter((value) => value > 0);
  const least = Math.min(...positive);
  if (positive.length === values.length && high / least > DECADES) {
    const from = Math.floor(Math.log10(least));
    const to = Math.ceil(Math.log10(high));
    const each = Math.ceil((to - from) / 6);
    const powers = [];
    for (let power = from; power <= to; power += each) powers.push(10 ** power);
    return { place: (value) => (Math.log10(value) - from) / (to - from), ticks: powers, log: true };
  }
  const marks = ticks(0, high * 1.02);
  const end = Math.max(high * 1.05, marks[marks.length - 1]);
  return { place: (value) => value / end, ticks: marks, log: false };
}

/** A number at an axis: no digit more than it needs. */
function tickName(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e5)) return minus(value.toExponential(0).replace("e+", "e"));
  return minus(String(Number(value.toPrecision(6))));
}
