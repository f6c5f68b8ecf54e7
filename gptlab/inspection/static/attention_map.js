// One head's attention, large: labelled with its tokens, and as a text whose tokens are as strong as they are looked at.

const CELL = { smallest: 7, largest: 38, withNumber: 30 };

function attentionMap() {
  const { size, step } = seen.attention;
  const title = el("h3");
  const text = el("div", { class: "looking" });
  const canvas = el("canvas");
  const picture = svg("svg", { role: "img" });
  const map = el("div", { class: "map" }, canvas, picture);
  const node = el("div", {}, title, text, map);
  let layer = 0;
  let head = 0;
  let hovered = null;
  let cell = CELL.smallest;
  let left = 0;
  let top = 0;
  let marks = { rows: [], columns: [] };
  const frame = svg("rect");
  const spot = svg("rect", { visibility: "hidden" });

  const chosenRow = () => Math.floor(position / step);

  function draw() {
    const names = Array.from({ length: size }, (_, i) => clipped(seen.tokens[i * step]));
    const longest = Math.ceil(Math.max(...names.map((name) => widthOf(name)))) + 10;
    const available = map.clientWidth;
    const tall = Math.max(320, Math.min(760, innerHeight - 120));
    cell = Math.floor(Math.min((available - longest - 4) / size, Math.max(tall / size, 11)));
    cell = Math.max(size > 120 ? 3 : CELL.smallest, Math.min(CELL.largest, cell));
    const slanted = cell >= 20;
    left = longest;
    top = slanted ? Math.ceil(0.75 * longest) + 6 : longest;
    const side = cell * size;
    const every = Math.ceil(11 / cell);
    picture.setAttribute("width", left + side + (slanted ? Math.min(available - left - side, Math.ceil(0.75 * longest)) : 4));
    picture.setAttribute("height", top + side + 2);
    Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${side}px`, height: `${side}px` });
    paint(canvas, size, size, (row, column) => (column > row ? NOTHING : shareColour(shareAt(layer, head, row, column))));
    marks = { rows: [], columns: [] };
    names.forEach((name, i) => {
      if (i % every) return;
      const middle = (i + 0.5) * cell;
      marks.rows[i] = svg("text", { x: left - 6, y: top + middle + 4, "text-anchor": "end" }, name);
      const upright = slanted ? longest < cell : widthOf(name) < 0.9 * cell;
      const turn = upright ? "" : slanted ? "rotate(-45)" : "rotate(-90)";
      const x = left + middle + (upright || slanted ? 0 : 4);
      const anchor = upright ? "middle" : "start";
      marks.columns[i] = svg("text", { transform: `translate(${x} ${top - 5}) ${turn}`, "text-anchor": anchor }, name);
    });
    const hit = svg("rect", { class: "hit", x: left, y: top, width: side, height: side, style: "pointer-events: all; stroke: none" });
    hit.addEventListener("pointermove", (event) => hover(cellAt(event, canvas, size, size)));
    hit.addEventListener("pointerleave", () => hover(null));
    hit.addEventListener("click", (event) => choose(cellAt(event, canvas, size, size)[0] * step));
    explains(hit, (event) => lookTip(layer, head, ...cellAt(event, canvas, size, size)));
    picture.replaceChildren(...marks.rows.filter(Boolean), ...marks.columns.filter(Boolean), ...inside(), frame, spot, hit);
    mark();
  }

  /** The shares themselves, where there is room for them. */
  function inside() {
    const found = [];
    if (cell < CELL.withNumber) return found;
    for (let row = 0; row < size; row++)
      for (let column = 0; column <= row; column++) {
        const share = shareAt(layer, head, row, column);
        if (share < 0.005) continue;
        const fill = isDark(shareColour(share)) ? "#ffffff" : "#14140f";
        const at = { x: left + (column + 0.5) * cell, y: top + (row + 0.5) * cell + 3.5 };
        const shown = share > 0.995 ? "1" : share.toFixed(2).slice(1);
        found.push(svg("text", { class: "inside", style: `fill: ${fill}`, ...at }, known(share) ? shown : "nan"));
      }
    return found;
  }

  function hover(where) {
    hovered = where;
    mark();
  }

  /** What is chosen and what is under the pointer, without drawing all anew. */
  function mark() {
    const row = hovered ? hovered[0] : chosenRow();
    marks.rows.forEach((label, i) => label.classList.toggle("chosen", i === row));
    marks.columns.forEach((label, i) => label.classList.toggle("chosen", hovered !== null && i === hovered[1]));
    filled(frame, { x: left, y: top + chosenRow() * cell, width: (chosenRow() + 1) * cell, height: cell }, []);
    spot.setAttribute("visibility", hovered ? "visible" : "hidden");
    if (hovered) filled(spot, { x: left + hovered[1] * cell, y: top + row * cell, width: cell, height: cell }, []);
    title.replaceChildren(`Layer ${layer}, head ${head}: what `, el("b", {}, cellName(row)), " looks at");
    text.hidden = size > 100;
    if (!text.hidden) text.replaceChildren(...tokens.map((token, i) => looked(token, row, i)));
  }

  function looked(token, row, column) {
    if (column > row) return el("span", { class: "later" }, token);
    const colour = shareColour(shareAt(layer, head, row, column));
    const style = `background: rgb(${colour.slice(0, 3)}); color: ${isDark(colour) ? "#ffffff" : "#14140f"}`;
    const looking = el("span", { style, class: column === row ? "self" : "" }, token);
    return explains(looking, () => lookTip(layer, head, row, column));
  }

  function show(chosenLayer, chosenHead) {
    layer = chosenLayer;
    head = chosenHead;
    if (map.clientWidth) draw();
  }

  onLayout(draw);
  followers.push(mark);
  return { node, show };
}
