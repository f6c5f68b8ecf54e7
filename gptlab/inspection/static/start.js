// Everything, from the top of the page to its end.

document.getElementById("sections").replaceChildren();
drawFacts();
drawWords();
drawAttention();
drawLens();
drawNorms();
drawAttributions();
drawWeights();
drawStepper();
for (const note of seen.notes) document.getElementById("sections").append(el("p", { class: "note" }, note));
layOut();
document.documentElement.dataset.drawn = "true";
