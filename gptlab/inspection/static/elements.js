// Elements of the page, made from what they hold: texts go in as texts, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.flat());
  return node;
}

function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

// In their order: where runs are beside each other, a section of one is beside that of the other.
const SECTIONS = ["words", "without", "heads", "attention", "lens", "norms", "attributions", "weights"];

/** A section of the page, and its place in the bar at the top. */
function section(name, title, intro, ...children) {
  const id = page.prefix + name;
  page.bar.append(el("a", { href: `#${id}` }, title));
  const made = el("section", { id, "--row": SECTIONS.indexOf(name) }, el("h2", {}, title), el("p", { class: "intro" }, intro), ...children);
  page.sections.append(made);
  return made;
}

/** What a colour means, from left to right. */
function key(kind, from, to) {
  return el("span", { class: "key" }, from, el("i", { class: kind }), to);
}

/** A picture of one pixel a number; colour(row, column) is [red, green, blue, alpha]. */
function paint(canvas, rows, columns, colour) {
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  for (let row = 0, at = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, at += 4) image.data.set(colour(row, column), at);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** The same, larger by a whole number of times: what a browser shrinks from there has no uneven cells. */
function paintLarge(canvas, rows, columns, colour, times) {
  const plain = document.createElement("canvas");
  paint(plain, rows, columns, colour);
  [canvas.width, canvas.height] = [columns * times, rows * times];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(plain, 0, 0, canvas.width, canvas.height);
}

const ruler = document.createElement("canvas").getContext("2d");

/** The width of a text in pixels, in the letters of the pictures. */
function widthOf(text, size = 11) {
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}
