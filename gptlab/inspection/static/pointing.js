// What the pointer is over, which position is chosen, and what is drawn anew when the page changes.

const tip = document.getElementById("tip");

/** Show a box beside the pointer. */
function showTip(event, ...content) {
  tip.replaceChildren(...content);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
  const top = event.clientY + 16 + height > innerHeight ? event.clientY - 12 - height : event.clientY + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

function hideTip() {
  tip.hidden = true;
}

/** While the pointer is over the node, the box holds what content(event) returns; none if that is null. */
function explains(node, content) {
  node.addEventListener("pointermove", (event) => {
    const shown = content(event);
    if (shown) showTip(event, ...[shown].flat());
    else hideTip();
  });
  node.addEventListener("pointerleave", hideTip);
  return node;
}

const number = (text) => el("div", { class: "number" }, text);
const rows = (pairs) => el("div", { class: "rows" }, ...pairs.flatMap(([a, b]) => [el("span", {}, a), el("span", {}, b)]));

/** Where in a picture of so many rows and columns the pointer is: [row, column]. */
function cellAt(event, node, rowCount, columnCount) {
  const box = node.getBoundingClientRect();
  const row = Math.floor(((event.clientY - box.top) / box.height) * rowCount);
  const column = Math.floor(((event.clientX - box.left) / box.width) * columnCount);
  return [Math.min(rowCount - 1, Math.max(0, row)), Math.min(columnCount - 1, Math.max(0, column))];
}

// The chosen position: where the model stands, with the next token before it. The most surprising one at first.
const losses = seen.losses.map((loss) => (known(loss) ? loss : Infinity));
let position = Math.min(T - 1, begun.position ?? losses.indexOf(Math.max(...losses)));
const followers = [];

/** Call follow(position) now and whenever another position is chosen. */
function onPosition(follow) {
  followers.push(follow);
  follow(position);
}

/** told: whether what stands beside it, if anything, is to follow. */
function choose(chosen, told = true) {
  position = begun.position = Math.min(T - 1, Math.max(0, chosen));
  for (const follow of followers) follow(position);
  if (told) begun.onPosition?.(position);
}
begun.choose = (chosen) => choose(chosen, false);
begun.at = () => position;

// What listens to the whole window does so until the page is drawn anew, for another step.
const life = new AbortController();
begun.end = () => life.abort();
const { signal } = life;

addEventListener("keydown", (event) => {
  // Of two beside each other the first one moves, and tells the other.
  if (event.defaultPrevented || event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) return;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  choose(position + step);
}, { signal });
addEventListener("scroll", hideTip, { passive: true, signal });

const painters = [];
const layouts = [];

/** Call draw() now, and when the colours of the page change. */
function onColours(draw) {
  painters.push(draw);
  draw();
}

/** Call draw() once the page is there, and when its width or its colours change. */
function onLayout(draw) {
  layouts.push(draw);
  painters.push(draw);
}

function layOut() {
  for (const draw of layouts) draw();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  tables = {};
  for (const draw of painters) draw();
}, { signal });

let pageWidth = innerWidth;
let waiting = 0;
addEventListener("resize", () => {
  if (innerWidth === pageWidth) return; // a phone's bars come and go
  pageWidth = innerWidth;
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(layOut);
}, { signal });
