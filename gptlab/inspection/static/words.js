// The text, each token as surprising as it was; and what was expected at the chosen position.

function drawFacts() {
  const { layers, embedding, vocabulary, parameters } = seen.sizes;
  const facts = [
    ["mean loss", known(seen.loss) ? `${short(seen.loss)}` : "nan", " nats a token"],
    ["perplexity", known(seen.loss) ? short(Math.exp(seen.loss)) : "nan", ` of ${whole(vocabulary)} tokens`],
    ["positions", whole(T), ""],
    ["layers", whole(layers), seen.attention.heads ? ` of ${seen.attention.heads} heads` : ""],
    ["nEmbd", whole(embedding), ""],
    ["parameters", whole(parameters), ""],
  ];
  page.facts.append(
    ...facts.map(([name, value, unit]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, unit)))),
  );
}

function drawWords() {
  const guess = Math.log(seen.sizes.vocabulary); // the loss of one who knows nothing
  const heat = (loss) => `${known(loss) ? 75 * Math.min(1, loss / guess) : 75}%`;
  const letters = Math.max(...tokens.slice(1).map((token) => token.length), 1) <= 2;
  const first = el("button", { class: "word", disabled: true }, tokens[0], el("small", {}, "start"));
  const chips = targets.map((target, t) =>
    el(
      "button",
      { class: "word", "--heat": heat(seen.losses[t]), onclick: () => choose(t) },
      clipped(target, 24),
      el("small", {}, nats(seen.losses[t])),
    ),
  );
  chips.forEach((chip, t) => explains(chip, () => summaryOf(t)));
  const after = el("div", { class: "after" });
  section(
    "words",
    "Words",
    "Below each token the loss, in nats, with which the model saw it come: the darker, the more of a surprise. Choose one; " +
      "everything on this page follows.",
    el("div", { class: letters ? "words letters" : "words" }, first, ...chips),
    el("p", { class: "note" }, key("surprise", "0", `${guess.toFixed(2)} nats: a blind guess among ${whole(seen.sizes.vocabulary)}`)),
    after,
  );
  onPosition((chosen) => {
    chips.forEach((chip, t) => chip.classList.toggle("chosen", t === chosen));
    [first, ...chips].forEach((chip, t) => chip.classList.toggle("from", t === chosen));
    after.replaceChildren(...expectedAt(chosen));
  });
}

function probabilityOf(t) {
  return known(seen.losses[t]) ? Math.exp(-seen.losses[t]) : NaN;
}

function summaryOf(t) {
  return [
    el("div", {}, `after ${tokens[t]} came `, el("b", { class: "came" }, targets[t])),
    rows([
      ["probability", percent(probabilityOf(t))],
      ["loss", `${short(seen.losses[t])} nats`],
      ["expected", `${visible(word(seen.candidates[t][0][0]))} ${percent(seen.candidates[t][0][1])}`],
    ]),
  ];
}

/** The candidates at a position with their probabilities; the one that came stands out. */
function expectedAt(t) {
  const left = el(
    "div",
    {},
    el("h3", {}, `Position ${t}`),
    el("div", { class: "came-words" }, `${tokens[t]} `, el("span", { class: "arrow" }, "→"), " ", el("b", { class: "came" }, targets[t])),
    el(
      "dl",
      {},
      ...[
        ["probability", percent(probabilityOf(t))],
        ["loss", `${short(seen.losses[t])} nats`],
        ["rank", `${whole(seen.ranks[t])} of ${whole(seen.sizes.vocabulary)}`],
      ].flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
  );
  const shown = seen.candidates[t];
  const came = shown.some(([id]) => word(id) === seen.targets[t]);
  const largest = Math.max(...shown.map(([, share]) => share ?? 0), 1e-9);
  const bars = shown.flatMap(([id, share]) => bar(visible(word(id)), share, largest, seen.targets[t] === word(id)));
  if (!came) bars.push(...bar(targets[t], probabilityOf(t), largest, true));
  return [left, el("div", {}, el("h3", {}, "What the model expected here"), el("div", { class: "bars" }, ...bars))];
}

function bar(name, share, largest, came) {
  return [
    el("span", { class: came ? "name came" : "name" }, name),
    el("span", { class: "bar" }, el("i", { style: `width: ${(100 * (share ?? 0)) / largest}%` })),
    el("span", { class: "soft" }, percent(share)),
  ];
}

/** The bar at the top: one step back or forth. */
function drawStepper() {
  const label = el("span");
  page.bar.append(
    el(
      "div",
      { class: "stepper" },
      el("button", { "aria-label": "previous position", onclick: () => choose(position - 1) }, "‹"),
      label,
      el("button", { "aria-label": "next position", onclick: () => choose(position + 1) }, "›"),
    ),
  );
  onPosition((t) => label.replaceChildren(clipped(tokens[t]), el("span", { class: "arrow" }, " → "), clipped(targets[t])));
}
