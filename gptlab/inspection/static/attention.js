// Attention: every layer and head as a small picture; the chosen one large.

let shares = new Float32Array(); // the triangles of all maps, one after the other

/** The share that a row gives to a column, both counted in cells of the map. */
function shareAt(layer, head, row, column) {
  const { heads, size } = seen.attention;
  const triangle = (size * (size + 1)) / 2;
  return shares[(layer * heads + head) * triangle + (row * (row + 1)) / 2 + column];
}

/** The tokens of a cell of a map: one, or the first and the last of several. */
function cellName(cell) {
  const { step } = seen.attention;
  const last = Math.min(T, (cell + 1) * step) - 1;
  return step === 1 ? tokens[cell] : `${tokens[cell * step]} … ${tokens[last]}`;
}

function lookTip(layer, head, row, column) {
  if (column > row) return el("span", { class: "soft" }, `${cellName(row)} cannot see ${cellName(column)}: it comes later`);
  const exact = seen.attention.step === 1;
  return [
    number(percent(shareAt(layer, head, row, column))),
    el("div", {}, el("b", {}, cellName(row)), " looks at ", el("b", {}, cellName(column))),
    el("div", { class: "faint" }, `layer ${layer}, head ${head}, [${row}, ${column}]${exact ? "" : ": the largest share"}`),
  ];
}

function drawAttention() {
  const { layers, heads, size, step } = seen.attention;
  begun.pick = null;
  if (!layers || !heads) {
    section("attention", "Attention", "This model shows no attention: see the note at the end of the page.");
    return;
  }
  shares = unpacked(seen.attention);
  const side = Math.max(36, Math.min(118, Math.floor(760 / heads) - 8));
  const pictures = el("div", { class: "heads", style: `grid-template-columns: auto repeat(${heads}, minmax(34px, ${side}px))` });
  pictures.append(el("span"), ...Array.from({ length: heads }, (_, head) => el("span", { class: "top" }, heads > 6 ? `${head}` : `head ${head}`)));
  const large = attentionMap();
  const buttons = [];
  for (let layer = 0; layer < layers; layer++) {
    pictures.append(el("span", {}, `layer ${layer}`));
    for (let head = 0; head < heads; head++) {
      const canvas = el("canvas", { class: size > side / 2 ? "" : "sharp" });
      const button = el("button", { class: "head", "aria-label": `layer ${layer}, head ${head}`, onclick: () => pick(layer, head) }, canvas);
      onColours(() =>
        paint(canvas, size, size, (row, column) => (column > row ? NOTHING : shareColour(shareAt(layer, head, row, column)))),
      );
      explains(button, (event) => lookTip(layer, head, ...cellAt(event, canvas, size, size)));
      pictures.append(button);
      buttons.push({ button, layer, head });
    }
  }
  const pick = (layer, head, told = true) => {
    begun.head = [layer, head];
    for (const one of buttons) one.button.classList.toggle("chosen", one.layer === layer && one.head === head);
    large.show(layer, head);
    if (told) begun.onHead?.(layer, head);
  };
  begun.pick = (layer, head) => layer < layers && head < heads && pick(layer, head, false);
  section(
    "attention",
    "Attention",
    "Each row is a position that looks, each column one that is looked at; a row's shares sum to 1, and nobody sees what comes later. " +
      "Hover for the numbers; click a small picture to see it large, a row to choose its position." +
      (step > 1 ? ` Each cell is ${step} by ${step} positions, and shows the largest share among them.` : ""),
    el("div", { class: "attention" }, el("div", { class: "all" }, pictures, el("p", { class: "note" }, key("shares", "0", "1"))), large.node),
  );
  const [layer, head] = begun.head ?? [layers, heads];
  pick(...(layer < layers && head < heads ? [layer, head] : sharpest(layers, heads)), false);
}

/** The head that looks most decidedly elsewhere: the one with the most to show. */
function sharpest(layers, heads) {
  const { size } = seen.attention;
  let best = [0, 0];
  let most = -1;
  for (let layer = 0; layer < layers; layer++)
    for (let head = 0; head < heads; head++) {
      let sum = 0;
      for (let row = 2; row < size; row++) {
        let peak = 0;
        for (let column = 1; column < row; column++) peak = Math.max(peak, shareAt(layer, head, row, column));
        sum += peak;
      }
      if (sum > most) [most, best] = [sum, [layer, head]];
    }
  return best;
}
