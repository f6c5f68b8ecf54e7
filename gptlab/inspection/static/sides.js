// Two runs beside each other, of one text: a box chooses each, one slider the step of both. The position and the head that
// are chosen in one are so in the other.

const { runs, vocabularies } = JSON.parse(byId("series").textContent);
const steps = [...new Set(runs.flatMap((run) => run.series.map(({ step }) => step)))].sort((one, other) => one - other);
const TONES = ["accent", "surprise"];
const NONE = -1;
let chosenStep = steps.length - 1;

/** What the run has of a step: that of the step itself, or of the last one before it; of its first, if it began later. */
function at(run, step) {
  return run.series.findLast((entry) => entry.step <= step) ?? run.series[0];
}

const sides = TONES.map((tone, side) => {
  const select = document.createElement("select");
  select.setAttribute("aria-label", side ? "the other run" : "the run");
  if (side) select.append(new Option("no other run", NONE));
  runs.forEach((run, i) => select.append(new Option(run.told, i)));
  // At first the best and the last of them: the widest apart.
  select.value = side && runs.length > 1 ? runs.length - 1 : side ? NONE : 0;
  const link = document.createElement("a");
  link.textContent = "folder";
  const step = document.createElement("small");
  const title = document.createElement("h2");
  title.append(select, step, link);
  const facts = document.createElement("dl");
  facts.className = "facts";
  const header = document.createElement("header");
  header.append(title, facts);
  const sections = document.createElement("div");
  const node = document.createElement("div");
  node.className = "side";
  node.append(header, sections);
  select.addEventListener("change", drawAll);
  // Only the first one has a place in the bar at the top.
  const bar = side ? document.createElement("nav") : byId("bar");
  return { tone, side, select, link, step, node, facts, sections, bar, begun: {} };
});

const isShown = ({ select }) => Number(select.value) !== NONE;
const runOf = ({ select }) => runs[Number(select.value)];

sides.forEach((one, i) => {
  const other = sides[1 - i];
  const heard = (act) => (...what) => isShown(other) && act(...what);
  one.begun.onPosition = heard((position) => other.begun.choose?.(position));
  one.begun.onHead = heard((layer, head) => other.begun.pick?.(layer, head));
});

function drawSide(one) {
  one.begun.end?.();
  if (!isShown(one)) return;
  const run = runOf(one);
  const entry = at(run, steps[chosenStep]);
  const numbers = { ...entry.numbers, vocabulary: vocabularies[entry.vocabulary] };
  one.step.textContent = `step ${written(entry.step)}`;
  one.link.hidden = !run.href;
  if (run.href) one.link.href = run.href;
  drawPage(one.begun, { numbers, prefix: one.side ? "other-" : "", facts: one.facts, bar: one.bar, sections: one.sections });
  for (const heading of one.sections.querySelectorAll("section > h2")) {
    const of = document.createElement("small");
    of.textContent = `${run.name}, step ${written(entry.step)}`;
    heading.append(of);
  }
}

function drawAll() {
  const height = scrollY;
  document.body.classList.toggle("single", !isShown(sides[1]));
  sides.forEach(drawSide);
  // What the first one has chosen by itself the other one follows.
  if (isShown(sides[1])) {
    sides[1].begun.choose(sides[0].begun.at());
    if (sides[0].begun.head) sides[1].begun.pick?.(...sides[0].begun.head);
  }
  slider.draw(
    sides.filter(isShown).map((one) => ({
      name: runOf(one).name,
      tone: one.tone,
      losses: steps.map((step) => runOf(one).series.find((entry) => entry.step === step)?.numbers.loss),
    })),
  );
  scrollTo(0, height);
}

document.body.classList.add("pair");
byId("sections").replaceChildren(...sides.map(({ node }) => node));
const slider = stepSlider(steps, (i) => {
  chosenStep = i;
  drawAll();
});
slider.choose(steps.length - 1);
