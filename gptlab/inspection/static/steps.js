// The same page at several steps of the training, by a slider. What is chosen on the page stays.

const series = JSON.parse(byId("series").textContent);
const begun = {};

function show(i) {
  const height = scrollY;
  begun.end?.();
  drawPage(begun, wholePage(series[i].numbers));
  scrollTo(0, height);
}

const steps = stepSlider(series.map(({ step }) => step), show);
steps.draw([{ name: "", tone: "", losses: series.map(({ numbers }) => numbers.loss) }]);
steps.choose(series.length - 1);
