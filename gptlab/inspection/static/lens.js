// The logit lens: what each hidden state would predict if the model ended there.

function drawLens() {
  const depths = seen.lens.length;
  const names = Array.from({ length: depths }, (_, depth) => depthName(depth) + (depth === depths - 1 ? " = output" : ""));
  const lines = tokens.map((token, t) =>
    el(
      "tr",
      { onclick: () => choose(t) },
      el("th", { scope: "row" }, clipped(token, 20)),
      ...seen.lens.map((_, depth) => guess(depth, t)),
      el("td", { class: "came" }, clipped(targets[t], 20)),
    ),
  );
  section(
    "lens",
    "Logit lens",
    "What the model would say if it ended after the embedding, or after each layer: the hidden state there, sent through the output " +
      "matrix. The stronger the colour, the surer; framed in green where it is what really came. Hover for the candidates.",
    el(
      "div",
      { class: "scroll" },
      el(
        "table",
        {},
        el("thead", {}, el("tr", {}, el("th", { style: "text-align: right" }, "after"), ...names.map((name) => el("th", {}, name)), el("th", {}, "came"))),
        el("tbody", {}, ...lines),
      ),
    ),
  );
  onPosition((t) => lines.forEach((line, i) => line.classList.toggle("chosen", i === t)));
}

function guess(depth, t) {
  if (!seen.lens[depth].candidates[t].length) return el("td", { class: "guess" }, "–"); // see the notes
  const [id, share] = seen.lens[depth].candidates[t][0];
  const right = word(id) === seen.targets[t];
  const cell = el(
    "td",
    { class: right ? "guess right" : "guess", "--heat": `${70 * (share ?? 0)}%` },
    clipped(word(id), 16),
    el("small", {}, known(share) ? `${Math.round(100 * share)}%` : "nan"),
  );
  return explains(cell, () => lensTip(depth, t));
}

function lensTip(depth, t) {
  const { candidates, shares: own, ranks } = seen.lens[depth];
  return [
    el("div", { class: "faint" }, `after ${tokens[t]}, ${depth === 0 ? "at the embedding" : `after layer ${depth - 1}`}`),
    rows(candidates[t].map(([id, share]) => [word(id) === seen.targets[t] ? el("b", { class: "came" }, visible(word(id))) : visible(word(id)), percent(share)])),
    el("div", { class: "soft" }, "came: ", el("b", { class: "came" }, targets[t]), ` ${percent(own[t])}, rank ${whole(ranks[t])}`),
  ];
}
