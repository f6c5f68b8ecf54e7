// Everything, from the top of the page to its end.

for (const node of [page.facts, page.bar, page.sections]) node.replaceChildren();
drawFacts();
drawWords();
drawIntervention();
drawHeads();
drawAttention();
drawLens();
drawNorms();
drawAttributions();
if (seen.weights.length) drawWeights();
drawStepper();
for (const note of seen.notes) page.sections.append(el("p", { class: "note", "--row": SECTIONS.length }, note));
layOut();
document.documentElement.dataset.drawn = "true";
