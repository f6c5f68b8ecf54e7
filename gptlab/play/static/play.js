// Two sides, each a run: what it expects after the text. Texts go in as texts, never as markup.

const token = new URLSearchParams(location.search).get("token") ?? "";
const at = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** What the server answers. Throws an Error that says why not. */
async function ask(path, question) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Gptlab-Token": token },
      body: JSON.stringify(question),
    });
  } catch {
    throw new Error("gptlab play has ended: start it again in the terminal.");
  }
  if (answer.status !== 200 && answer.status !== 422) throw new Error(await answer.text());
  const found = await answer.json();
  if (found.error) throw new Error(found.error);
  return found;
}

const settings = () => ({
  prompt: at("prompt").value,
  temperature: Number(at("temperature").value),
  topK: Number(at("topK").value),
});

const SIGNS = { " ": "␣", "\n": "⏎", "\t": "⇥" };
const visible = (text) => (text === "" ? "∅" : text.replace(/^\s+|\s+$/g, (ends) => [...ends].map((s) => SIGNS[s] ?? "␣").join("")));
const percent = (share) => (share > 0 && share < 0.0005 ? "<0.1%" : `${(100 * share).toFixed(1)}%`);

/** One side of the page. */
function side(name, runs, chosen, optional) {
  const select = el(
    "select",
    { "aria-label": name, onchange: () => refresh() },
    ...(optional ? [el("option", { value: "" }, "compare with ...")] : []),
    ...runs.map(({ id, name: shown }) => el("option", { value: id, selected: id === chosen }, shown)),
  );
  const tokens = el("div", { class: "tokens" });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const text = el("p", { class: "goes-on" });
  const goOn = el("button", { type: "button", onclick: () => generate() }, "Go on");
  let asked = 0;
  let seed = 0;

  async function refresh() {
    const mine = ++asked;
    if (!select.value) {
      tokens.replaceChildren();
      wrong.textContent = text.textContent = "";
      return;
    }
    try {
      const found = await ask("/next", { run: select.value, ...settings() });
      if (mine !== asked) return; // the text has changed since
      wrong.textContent = "";
      const largest = Math.max(...found.next.map(({ share }) => share), 1e-9);
      tokens.replaceChildren(...found.next.map((next) => row(next, largest)));
    } catch (error) {
      if (mine !== asked) return;
      wrong.textContent = error.message;
      tokens.replaceChildren();
    }
  }

  const row = (next, largest) =>
    el(
      "button",
      { type: "button", disabled: next.ends, title: `the model's own probability: ${percent(next.probability)}`, onclick: () => take(next.text) },
      el("span", {}, next.ends ? "end of text" : visible(next.token)),
      el("i", { style: `width: ${(100 * next.share) / largest}%` }),
      el("span", { class: "share" }, percent(next.share)),
    );

  async function generate() {
    if (!select.value) return;
    try {
      const { prompt } = settings();
      const found = await ask("/generate", { run: select.value, ...settings(), seed: seed++ });
      wrong.textContent = "";
      const known = found.text.startsWith(prompt) ? prompt : "";
      text.replaceChildren(el("b", {}, known), found.text.slice(known.length) || " (ends here)");
    } catch (error) {
      wrong.textContent = error.message;
    }
  }

  at("sides").append(el("section", {}, el("label", {}, name, select), tokens, wrong, goOn, text));
  return refresh;
}

let sides = [];
let waiting = 0;

/** All sides anew, once nobody has typed for a moment. */
function soon() {
  clearTimeout(waiting);
  waiting = setTimeout(() => sides.forEach((refresh) => refresh()), 120);
}

function take(text) {
  at("prompt").value = text;
  at("prompt").focus();
  soon();
}

function showSettings() {
  at("temperatureValue").textContent = Number(at("temperature").value).toFixed(2);
  at("topKValue").textContent = Number(at("topK").value) || "all";
  soon();
}

at("prompt").addEventListener("input", soon);
at("clear").addEventListener("click", () => take(""));
for (const id of ["temperature", "topK"]) at(id).addEventListener("input", showSettings);

ask("/runs", {})
  .then(({ runs, chosen }) => {
    sides = [side("Run", runs, chosen[0], false), side("Other run", runs, chosen[1], true)];
    document.documentElement.dataset.ready = "true";
    soon();
  })
  .catch((error) => at("sides").append(el("p", { class: "wrong" }, error.message)));
