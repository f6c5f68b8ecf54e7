// What the text loses without parts of the model, and what each part is for; nothing where nobody asked.

const change = (effect) => (known(effect) ? `${effect > 0 ? "+" : ""}${effect.toFixed(3)}` : "nan");

function drawIntervention() {
  const found = seen.intervention;
  if (!found) return;
  const largest = Math.max(...found.effects.filter(known).map(Math.abs), 1e-9);
  const chips = targets.map((target, t) =>
    el(
      "button",
      { class: "word effect", style: tint(found.effects[t], largest), onclick: () => choose(t) },
      clipped(target, 24),
      el("small", {}, change(found.effects[t])),
    ),
  );
  chips.forEach((chip, t) =>
    explains(chip, () => [
      el("div", {}, `after ${tokens[t]} came `, el("b", { class: "came" }, targets[t])),
      rows([
        ["loss", `${nats(seen.losses[t])} nats`],
        ["without", `${nats(found.losses[t])} nats`],
        ["change", `${change(found.effects[t])} nats`],
      ]),
    ]),
  );
  section(
    "without",
    "Without",
    `What the loss of each token gains, in nats, without ${found.parts.join(", ")} (${found.filled} instead). The mean loss goes from ` +
      `${short(seen.loss)} to ${short(found.loss)}.`,
    el("div", { class: "words" }, ...chips),
    el("p", { class: "note" }, key("signed", "better without", "worse without")),
  );
  onPosition((chosen) => chips.forEach((chip, t) => chip.classList.toggle("chosen", t === chosen)));
}

/** Red where the loss grows, blue where it falls. */
function tint(effect, largest) {
  if (!known(effect)) return "";
  const share = Math.round((70 * Math.abs(effect)) / largest);
  return `background: color-mix(in srgb, var(--${effect > 0 ? "positive" : "negative"}) ${share}%, var(--page))`;
}

function drawHeads() {
  const found = seen.heads;
  if (!found) return;
  const places = found.parts.map((part) => part.match(/^layers\.(\d+)\.(.+)$/).slice(1));
  const layers = [...new Set(places.map(([layer]) => layer))];
  const columns = [...new Set(places.map(([, column]) => column))];
  const order = (column) => (column.startsWith("head.") ? Number(column.slice(5)) : column === "attention" ? 1e6 : 1e7);
  columns.sort((one, other) => order(one) - order(other));
  const tables = found.sides.map((side) => {
    const largest = Math.max(...side.effects.filter(known).map(Math.abs), 1e-9);
    const cell = (layer, column) => {
      const i = places.findIndex(([l, c]) => l === layer && c === column);
      if (i < 0) return el("td");
      const made = el("td", { style: tint(side.effects[i], largest) }, change(side.effects[i]));
      explains(made, () => [el("div", {}, found.parts[i]), rows([["change", `${change(side.effects[i])} nats`]])]);
      return made;
    };
    return el(
      "div",
      { class: "group" },
      el("h3", {}, `${side.title}: mean loss ${short(side.loss)} nats`),
      el(
        "div",
        { class: "scroll" },
        el(
          "table",
          { class: "effects" },
          el("thead", {}, el("tr", {}, el("th"), ...columns.map((column) => el("th", {}, column.replace(".", " "))))),
          el("tbody", {}, ...layers.map((l) => el("tr", {}, el("th", {}, `layer ${l}`), ...columns.map((c) => cell(l, c))))),
        ),
      ),
    );
  });
  section(
    "heads",
    "What parts are for",
    `What the mean loss gains, in nats a token, without one part at a time (${found.filled} instead): the redder, the more it is needed.`,
    ...tables,
    el("p", { class: "note" }, found.note || key("signed", "better without", "worse without")),
  );
}
