// Everything, from the top of the page to its end.

for (const id of ["facts", "bar", "sections"]) document.getElementById(id).replaceChildren();
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
for (const note of seen.notes) document.getElementById("sections").append(el("p", { class: "note" }, note));
layOut();
document.documentElement.dataset.drawn = "true";
