// How long hidden states and their gradients are, layer by layer: a line for each position.

const PLOT = { height: 250, left: 46, right: 14, top: 12, bottom: 26 };

function drawNorms() {
  const plots = el("div", { class: "plots" });
  const line = (colour, name) => el("span", {}, el("i", { style: `border-color: var(--${colour})` }), name);
  section(
    "norms",
    "Norms",
    "The length of each hidden state, and of the gradient of the mean loss with respect to it: one thin line for each position. " +
      "A norm that grows with depth is a sum that layers add to; a gradient that fades tells who learns little.",
    el("p", { class: "lines", style: "margin-bottom: 12px" }, line("ink", "mean"), line("accent", "chosen position"), line("faint", "each position")),
    plots,
  );
  plots.append(normPlot("Hidden states", seen.hiddenNorms), normPlot("Gradients", seen.gradientNorms));
}

function normPlot(name, norms) {
  const depths = norms.length;
  const all = norms.flat().filter(known);
  const axis = axisOf(all);
  const means = norms.map((row) => row.filter(known).reduce((sum, value) => sum + value, 0) / Math.max(1, row.filter(known).length));
  const node = el("div", { class: "plot" }, el("h3", {}, axis.log ? `${name} (each line of the grid a power of ten)` : name));
  const picture = svg("svg", { role: "img", height: PLOT.height, width: "100%" });
  node.append(picture);
  let hovered = -1;
  let marks = svg("g");

  const width = () => picture.clientWidth;
  const x = (depth) => PLOT.left + (depths > 1 ? depth / (depths - 1) : 0.5) * (width() - PLOT.left - PLOT.right - 24) + 12;
  const y = (value) => PLOT.top + (1 - axis.place(value)) * (PLOT.height - PLOT.top - PLOT.bottom);
  const ofPosition = (t) => norms.map((row) => row[t]);
  const course = (values, kind) => {
    const points = values.flatMap((value, depth) => (known(value) ? [`${x(depth)},${y(value)}`] : []));
    return svg("polyline", { class: kind, points: points.join(" ") });
  };
  const dots = (values, kind) =>
    values.flatMap((value, depth) => (known(value) ? [svg("circle", { class: kind, cx: x(depth), cy: y(value), r: 3.5 })] : []));

  function draw() {
    const end = width() - PLOT.right;
    const grid = axis.ticks.flatMap((tick) => [
      svg("line", { class: tick === 0 ? "zero" : "grid", x1: PLOT.left, x2: end, y1: y(tick), y2: y(tick) }),
      svg("text", { x: PLOT.left - 8, y: y(tick) + 4, "text-anchor": "end" }, tickName(tick)),
    ]);
    const every = Math.ceil((depths * 64) / (end - PLOT.left));
    const labels = norms.flatMap((_, depth) =>
      depth % every ? [] : [svg("text", { x: x(depth), y: PLOT.height - 6, "text-anchor": "middle" }, depthName(depth))],
    );
    const each = tokens.map((_, t) => course(ofPosition(t), "each"));
    picture.replaceChildren(...grid, ...labels, ...each, marks);
    mark();
  }

  function mark() {
    marks.replaceChildren(
      course(means, "mean"), ...dots(means, "mean"),
      course(ofPosition(position), "one"), ...dots(ofPosition(position), "one"),
      ...(hovered >= 0 ? [course(ofPosition(hovered), "near"), ...dots(ofPosition(hovered), "near")] : []),
    );
  }

  explains(picture, (event) => {
    const box = picture.getBoundingClientRect();
    const places = norms.map((_, depth) => Math.abs(x(depth) - (event.clientX - box.left)));
    const depth = places.indexOf(Math.min(...places));
    const distances = norms[depth].map((value) => (known(value) ? Math.abs(y(value) - (event.clientY - box.top)) : Infinity));
    hovered = distances.indexOf(Math.min(...distances));
    mark();
    return [
      number(short(norms[depth][hovered])),
      el("div", {}, `${name} at `, el("b", {}, tokens[hovered]), `, position ${hovered}`),
      el("div", { class: "faint" }, `${depthName(depth)}; mean ${short(means[depth])}`),
    ];
  });
  picture.addEventListener("pointerleave", () => {
    hovered = -1;
    mark();
  });
  picture.addEventListener("click", () => hovered >= 0 && choose(hovered));
  onLayout(draw);
  followers.push(mark);
  return node;
}
