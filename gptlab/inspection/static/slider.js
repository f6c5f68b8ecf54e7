// A slider over steps, and above it the mean losses of the text as lines of dots, to click.

const written = (count) => count.toLocaleString("en-US");

function button(name, sign, act) {
  const made = document.createElement("button");
  made.setAttribute("aria-label", name);
  made.textContent = sign;
  made.addEventListener("click", act);
  return made;
}

/** show(i): called with the place of the step that is chosen, when it changes. Starts at the last one. */
function stepSlider(steps, show) {
  const slider = document.createElement("input");
  Object.assign(slider, { type: "range", id: "step", min: 0, max: steps.length - 1, step: 1, value: steps.length - 1 });
  slider.setAttribute("aria-label", "step of the training");
  const label = document.createElement("output");
  label.setAttribute("for", "step");
  const curve = document.createElement("div");
  curve.className = "curve";
  let dots = [];
  let chosen = -1;

  function mark() {
    for (const { dot, i } of dots) dot.classList.toggle("chosen", i === chosen);
  }

  function choose(i) {
    const wanted = Math.min(steps.length - 1, Math.max(0, i));
    slider.value = wanted;
    if (wanted === chosen) return;
    chosen = wanted;
    label.textContent = `step ${written(steps[wanted])}`;
    slider.setAttribute("aria-valuetext", label.textContent);
    mark();
    show(wanted);
  }

  /** lines: of each its name, empty for the only one, its colour, and a loss for each step: null if it is not finite, undefined if there is none. */
  function draw(lines) {
    const all = lines.flatMap(({ losses }) => losses.filter((loss) => typeof loss === "number"));
    const high = Math.max(...all, 1e-9);
    const left = (i) => (steps.length === 1 ? 50 : (100 * i) / (steps.length - 1));
    dots = lines.flatMap(({ name, tone, losses }) =>
      losses.flatMap((loss, i) => {
        if (loss === undefined) return [];
        const dot = button(`${name ? `${name}, ` : ""}step ${steps[i]}`, "", () => choose(i));
        dot.style.left = `${left(i)}%`;
        dot.style.bottom = `${loss === null ? 0 : (100 * loss) / high}%`;
        if (tone) dot.style.setProperty("--tone", `var(--${tone})`);
        dot.title = `${name ? `${name}, ` : ""}step ${written(steps[i])}: mean loss ${loss === null ? "nan" : loss.toFixed(3)}`;
        return [{ dot, i }];
      }),
    );
    curve.replaceChildren(...dots.map(({ dot }) => dot));
    mark();
  }

  slider.addEventListener("input", () => choose(Number(slider.value)));
  const bar = byId("steps");
  bar.hidden = false;
  bar.append(curve, button("earlier step", "‹", () => choose(chosen - 1)), slider, button("later step", "›", () => choose(chosen + 1)), label);
  return { draw, choose };
}
