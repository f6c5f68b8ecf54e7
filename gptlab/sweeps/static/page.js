"use strict";
(() => {
// The addresses are of what lies beside the file: a copy of it somewhere else, such as MLflow's, leads to none of it.
if (!location.pathname.endsWith("/sweep.html"))
  for (const link of document.querySelectorAll("a[href^='./']")) link.removeAttribute("href");

const valueOf = (cell) => {
  const text = cell.textContent.trim();
  return "v" in cell.dataset ? Number(cell.dataset.v) : text === "-" || text === "" ? null : text;
};

/** Numbers before texts; what is not known last, whichever way it goes. */
function compare(one, other, way) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
  return way * (typeof one === "number" ? one - other : one.localeCompare(other));
}

function sort(table, head, column) {
  const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: valueOf(row.cells[column]) }));
  rows.sort((one, other) => compare(one.value, other.value, way));
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

/** The curves of a row stand out while the pointer is over it. */
function point(rank) {
  for (const run of document.querySelectorAll(".run.near")) run.classList.remove("near");
  const found = rank ? document.querySelectorAll(`.run.r${rank}`) : [];
  for (const run of found) run.classList.add("near");
  for (const curves of document.querySelectorAll(".curves")) curves.classList.toggle("pointed", found.length > 0);
}

for (const table of document.querySelectorAll("table.jobs")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent || "rank";
    button.addEventListener("click", () => sort(table, head, column));
    head.replaceChildren(button);
  });
  for (const row of table.tBodies[0].rows) row.addEventListener("pointerenter", () => point(row.dataset.r));
  table.tBodies[0].addEventListener("pointerleave", () => point(""));
}
})();
