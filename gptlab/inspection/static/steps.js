// The same page at several steps of the training, by a slider. What is chosen on the page stays.

const series = JSON.parse(document.getElementById("series").textContent);
const numbersOfPage = document.getElementById("numbers");
const begun = {};
const written = (count) => count.toLocaleString("en-US");

const slider = document.createElement("input");
Object.assign(slider, { type: "range", id: "step", min: 0, max: series.length - 1, step: 1, value: series.length - 1 });
const label = document.createElement("output");
label.setAttribute("for", "step");
slider.setAttribute("aria-label", "step of the training");

function button(name, sign, act) {
  const made = document.createElement("button");
  made.setAttribute("aria-label", name);
  made.textContent = sign;
  made.addEventListener("click", act);
  return made;
}

/** The mean losses of the text as a line of dots, to click; a dot on its own step's place of the slider. */
function curve() {
  const losses = series.map(({ numbers }) => numbers.loss).filter((loss) => loss !== null);
  const high = Math.max(...losses, 1e-9);
  const place = (i) => (series.length === 1 ? 50 : (100 * i) / (series.length - 1));
  const made = document.createElement("div");
  made.className = "curve";
  const dots = series.map(({ step, numbers }, i) => {
    const dot = button(`step ${step}`, "", () => show(i));
    dot.style.left = `${place(i)}%`;
    dot.style.bottom = `${numbers.loss === null ? 0 : (100 * numbers.loss) / high}%`;
    dot.title = `step ${written(step)}: mean loss ${numbers.loss === null ? "nan" : numbers.loss.toFixed(3)}`;
    return dot;
  });
  made.append(...dots);
  return { made, dots };
}

const { made, dots } = curve();
let shown = -1;

function show(i) {
  const wanted = Math.min(series.length - 1, Math.max(0, i));
  slider.value = wanted;
  if (wanted === shown) return;
  shown = wanted;
  const { step, numbers } = series[wanted];
  label.textContent = `step ${written(step)}`;
  slider.setAttribute("aria-valuetext", label.textContent);
  dots.forEach((dot, at) => dot.classList.toggle("chosen", at === wanted));
  const height = scrollY;
  begun.end?.();
  numbersOfPage.textContent = JSON.stringify(numbers);
  drawPage(begun);
  scrollTo(0, height);
}

slider.addEventListener("input", () => show(Number(slider.value)));
const bar = document.getElementById("steps");
bar.hidden = false;
bar.append(made, button("earlier step", "‹", () => show(shown - 1)), slider, button("later step", "›", () => show(shown + 1)), label);
show(series.length - 1);
