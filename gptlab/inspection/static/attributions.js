// Where the loss comes from: gradient times input, a column for each position.

const COLUMNS = { height: 180, left: 52, top: 8, widest: 46 };

function drawAttributions() {
  const node = el("div", { class: "plot" });
  const picture = svg("svg", { role: "img", width: "100%" });
  node.append(picture);
  section(
    "attributions",
    "Where the loss comes from",
    "Gradient times input, summed over the numbers of each position's embedding: what the mean loss would gain, to first order, for a " +
      "growth of that embedding. Red raises the loss, blue lowers it. The sum is the derivative of the loss by the scale of all " +
      `embeddings together: ${signed(seen.attributionsSum)}.`,
    node,
  );
  const values = seen.attributions.map((value) => (known(value) ? value : 0));
  const high = Math.max(...values, 0);
  const low = Math.min(...values, 0);
  const reach = high - low || 1;
  let columns = [];
  let labels = [];

  function draw() {
    const inner = Math.max(picture.clientWidth - COLUMNS.left, 10);
    const pitch = Math.min(COLUMNS.widest * 2.5, inner / T);
    const thick = Math.max(1, Math.min(COLUMNS.widest, pitch - 2));
    const y = (value) => COLUMNS.top + ((high - value) / reach) * COLUMNS.height;
    const x = (t) => COLUMNS.left + t * pitch;
    const widths = tokens.map((token) => widthOf(clipped(token)));
    const fits = widths.map((width) => width + 4 < pitch);
    // Short ones stay upright beside a long one only where there is no room to read them otherwise.
    const level = pitch < 20 ? fits : fits.map(() => fits.every(Boolean));
    const every = Math.ceil(11 / pitch);
    const room = level.every(Boolean) ? 22 : Math.ceil(Math.max(...widths)) + 14;
    picture.setAttribute("height", COLUMNS.top + COLUMNS.height + room);
    const grid = ticks(low, high, 6).flatMap((tick) => [
      svg("line", { class: Math.abs(tick) < 1e-12 ? "zero" : "grid", x1: COLUMNS.left, x2: COLUMNS.left + T * pitch, y1: y(tick), y2: y(tick) }),
      svg("text", { x: COLUMNS.left - 8, y: y(tick) + 4, "text-anchor": "end" }, tickName(tick)),
    ]);
    columns = values.map((value, t) =>
      svg("rect", {
        class: `column ${value < 0 ? "negative" : "positive"}`,
        x: x(t) + (pitch - thick) / 2, y: Math.min(y(value), y(0)), width: thick, height: Math.max(1, Math.abs(y(value) - y(0))), rx: Math.min(3, thick / 4),
      }),
    );
    labels = tokens.map((token, t) => {
      const place = [x(t) + pitch / 2, COLUMNS.top + COLUMNS.height + 16];
      const turn = level[t] ? `translate(${place})` : `translate(${place[0] + 4} ${place[1] - 6}) rotate(-90)`;
      return svg("text", { transform: turn, "text-anchor": level[t] ? "middle" : "end", visibility: t % every ? "hidden" : "visible" }, clipped(token));
    });
    const hits = values.map((_, t) => {
      const hit = svg("rect", { class: "hit", x: x(t), y: 0, width: pitch, height: COLUMNS.top + COLUMNS.height + room, onclick: () => choose(t) });
      return explains(hit, () => [
        number(known(seen.attributions[t]) ? signed(seen.attributions[t]) : "nan"),
        el("div", {}, el("b", {}, tokens[t]), ` at position ${t} ${values[t] < 0 ? "lowers" : "raises"} the mean loss`),
      ]);
    });
    picture.replaceChildren(...grid, ...columns, ...labels, ...hits);
    mark();
  }

  function mark() {
    columns.forEach((column, t) => column.classList.toggle("dim", t !== position));
    labels.forEach((label, t) => label.classList.toggle("chosen", t === position));
  }

  onLayout(draw);
  followers.push(mark);
}
