// Each weight matrix as a picture, and how its numbers lie.

const TALL = 132; // pixels, of a picture that is longer than it is high
const LYING = 2.2; // how many times its width a matrix is long before it is laid down

function drawWeights() {
  const groups = new Map();
  for (const weight of seen.weights) {
    const [, group, rest] = weight.name.match(/^(layers\.\d+)\.(.*)$/) ?? [null, "Outside the layers", weight.name];
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([rest, weight]);
  }
  const made = section(
    "weights",
    "Weights",
    "Every number of every matrix: blue below 0, red above, each matrix on its own scale. Below each picture its histogram, 0 in the middle, " +
      "and its norm beside that of the gradient of the mean loss. Long matrices lie on their side. Hover for a number and its place.",
    key("signed", "−", "+"),
  );
  for (const [name, members] of groups) {
    const cards = el("div", { class: "weights" });
    made.append(el("div", { class: "group" }, el("h3", {}, name), cards));
    for (const [rest, weight] of members) drawWeight(cards, rest, weight);
  }
}

function drawWeight(cards, name, weight) {
  const numbers = unpacked(weight);
  const aspect = (weight.columns * weight.columnStep) / (weight.rows * weight.rowStep);
  const laid = 1 / aspect > LYING;
  const [down, across] = laid ? [weight.columns, weight.rows] : [weight.rows, weight.columns];
  const at = (i, j) => (laid ? numbers[j * weight.columns + i] : numbers[i * weight.columns + j]);
  const long = Math.max(aspect, 1 / aspect);
  const span = long > 8 && across > 256 ? " whole" : long > LYING ? " wide" : "";
  const canvas = el("canvas");
  const shape = weight.shape.length ? weight.shape.join(" × ") : "one number";
  const pixel = weight.rowStep * weight.columnStep > 1 ? `; each pixel the largest of ${weight.rowStep} × ${weight.columnStep}` : "";
  const bars = svg("svg", { height: 46, width: "100%", role: "img" });
  const card = el(
    "div",
    { class: `weight${span}`, "data-name": weight.name },
    el("h4", {}, ...name.split(".").flatMap((part, i) => (i ? [".", el("wbr"), part] : [part]))),
    el("div", { class: "shape" }, shape + (laid ? ", lying" : "") + pixel),
    canvas,
    bars,
    statistics(weight),
  );
  cards.append(card);
  onLayout(() => {
    const room = card.clientWidth - 24;
    // Narrow pictures keep their cells square; long ones are stretched to a height at which they can be read.
    const tall = span ? Math.min(TALL, 24 * down) : Math.min(1.45 * TALL, (room * down) / across);
    const wide = span ? Math.min(room, 12 * across) : Math.min(room, (tall * across) / down);
    canvas.style.width = `${wide}px`;
    canvas.style.height = `${tall}px`;
    const sharp = Math.min(wide / across, tall / down) >= 4;
    canvas.className = sharp ? "sharp" : "";
    const times = sharp || Math.max(across, down) > 1024 ? 1 : 4;
    paintLarge(canvas, down, across, (i, j) => signedColour(at(i, j), weight.saturated || 1), times);
    drawHistogram(bars, weight);
  });
  explains(canvas, (event) => {
    const [i, j] = cellAt(event, canvas, down, across);
    const [row, column] = laid ? [j, i] : [i, j];
    return [number(short(at(i, j))), el("div", {}, place(weight, row, column))];
  });
}

/** The name of a number as `gptlab graph` takes it, and the token of its row. */
function place(weight, row, column) {
  const first = [row * weight.rowStep, column * weight.columnStep];
  const several = weight.rowStep * weight.columnStep > 1;
  const index = weight.shape.length === 1 ? [first[1]] : weight.shape.length > 2 ? unjoined(weight.shape, ...first) : first;
  const token = weight.shape[0] === seen.sizes.vocabulary && !several ? seen.vocabulary[first[0]] : undefined;
  const name = `${weight.name}[${index.join(",")}]${several ? " and its neighbours" : ""}`;
  return token === undefined ? name : [name, el("span", { class: "faint" }, ` ${visible(token)}`)];
}

/** The indices of a row that joins all axes but the last one. */
function unjoined(shape, row, column) {
  const index = [column];
  for (const length of shape.slice(0, -1).reverse()) {
    index.unshift(row % length);
    row = Math.floor(row / length);
  }
  return index;
}

function statistics(weight) {
  const facts = [
    ["mean", short(weight.mean)],
    ["deviation", short(weight.deviation)],
    ["norm", short(weight.norm)],
    ["gradient", short(weight.gradientNorm)],
  ];
  if (weight.notFinite) facts.push(["not finite", whole(weight.notFinite)]);
  return el("dl", {}, ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function drawHistogram(picture, weight) {
  const width = picture.clientWidth;
  const { counts, reach } = weight;
  const pitch = width / counts.length;
  const most = Math.max(...counts, 1);
  const edge = (i) => reach * ((2 * i) / counts.length - 1);
  const bins = counts.map((count, i) => {
    const tall = count ? Math.max(1, (32 * count) / most) : 0;
    const bin = svg("rect", { class: "bin", x: i * pitch, y: 33 - tall, width: Math.max(0.5, pitch - (pitch > 4 ? 1 : 0.5)), height: tall });
    return explains(bin, () => [number(whole(count)), el("div", {}, `numbers from ${short(edge(i))} to ${short(edge(i + 1))}`)]);
  });
  picture.replaceChildren(
    ...bins,
    svg("text", { x: 0, y: 45 }, minus(`-${short(reach)}`)),
    svg("text", { x: width / 2, y: 45, "text-anchor": "middle" }, "0"),
    svg("text", { x: width, y: 45, "text-anchor": "end" }, short(reach)),
  );
}
