"""From MLflow's page of a run to its inspect page, and to the page of its sweep: addresses for them, and links on the
run's page.

A run logs a page a step (uploads.py). MLflow shows such an artifact in a small frame, several clicks deep; here it has
the window to itself. It is data of whoever could write to the store: the browser gives it no part in MLflow's pages.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.inspection.page import numbers_in
from gptlab.inspection.step_pages import page_of_steps
from gptlab.runs.checkpoint.folder import step_of
from gptlab.runs.files import ABLATION_PAGE, INSPECTION, INSPECTIONS, SWEEP_PAGE
from gptlab.runs.finding import ID
from gptlab.tracking.facts import PARENT

if TYPE_CHECKING:
    from mlflow import MlflowClient

ADDRESS = "gptlab-inspect"
STEPS = "steps"  # behind the address of a run: which there are, as JSON, and the run that has the page of its sweep
REPORT = "report"  # the page of the sweep or the ablation that is this run
BESIDE = re.compile(r' href="\./[^"]*"')
# An origin of its own for what the page's script does, and nothing from anywhere.
POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:"
)
# The names are those of MLflow 3.17; to another version they would say nothing, and do no harm.
SETTINGS = {"run": "^#/experiments/\\d+/runs/(\\w+)", "address": ADDRESS, "steps": STEPS, "report": REPORT}

SCRIPT = f"{{\n  const told = {strict_json.dumps(SETTINGS)};"
SCRIPT += """
  const place = document.createElement("div");
  place.style.cssText =
    "position:fixed;right:16px;bottom:16px;z-index:9999;display:flex;gap:8px;font:14px system-ui,sans-serif";
  const link = (text, address) => {
    const made = document.createElement("a");
    Object.assign(made, {textContent: text, href: address, target: "_blank", rel: "noopener"});
    made.style.cssText = "padding:6px 12px;border-radius:8px;background:#2a6fd0;color:#fff;text-decoration:none";
    return made;
  };
  let shown = "";
  const follow = async () => {
    const run = (location.hash.match(new RegExp(told.run)) ?? [])[1] ?? "";
    if (run === shown) return;
    shown = run;
    place.remove();
    if (!run) return;
    try {
      const {steps, sweep} = await (await fetch(`${told.address}/${run}/${told.steps}`)).json();
      if (run !== shown || !(steps.length || sweep)) return;
      const links = [];
      const whose = sweep === run ? "Page of this sweep" : "Page of its sweep";
      if (sweep) links.push(link(whose, `${told.address}/${sweep}/${told.report}`));
      const last = steps[steps.length - 1];
      if (steps.length) links.push(link(`Inspect: step ${last.toLocaleString("en-US")}`, `${told.address}/${run}`));
      if (steps.length > 1) links.push(link(`over ${steps.length} steps`, `${told.address}/${run}?over`));
      place.replaceChildren(...links);
      document.body.append(place);
    } catch (error) { /* the page does as it would without */ }
  };
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  addEventListener("load", follow);
}"""


class Inspections:
    """The inspect pages that a run has in the store, and the page of its sweep."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client, self.run_id = client, run_id

    def steps(self) -> list[int]:
        """From the first to the last; none for a run that is not there."""
        return sorted(self._folders())

    def newest(self) -> str | None:
        folders = self._folders()
        return self._page(folders[max(folders)]) if folders else None

    def over_steps(self) -> str | None:
        """One page with a slider over those that can be read."""
        series: list[tuple[int, dict[str, Any]]] = []
        for step, folder in sorted(self._folders().items()):
            try:
                series.append((step, numbers_in(self._page(folder))))
            except ValueError:
                continue
        return page_of_steps(series, f'"{series[-1][1]["text"]}", step by step') if series else None

    def sweep(self) -> str:
        """The id of the run that has the page of a sweep: this one, or its parent; empty if neither has one."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_run(self.run_id) if ID.fullmatch(self.run_id) else None
            parent = found.data.tags.get(PARENT, self.run_id) if found is not None else ""
            return parent if parent and self._report_of(parent) else ""
        except MlflowException:
            return ""

    def report(self) -> str | None:
        """The page of the sweep that is this run, without its ways to what lies beside it in its folder."""
        name = self._report_of(self.run_id) if ID.fullmatch(self.run_id) else ""
        return BESIDE.sub("", self._page("", name)) if name else None

    def _report_of(self, run_id: str) -> str:
        there = {file.path for file in self.client.list_artifacts(run_id)}
        return next((name for name in (SWEEP_PAGE, ABLATION_PAGE) if name in there), "")

    def _folders(self) -> dict[int, str]:
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.list_artifacts(self.run_id, INSPECTIONS) if ID.fullmatch(self.run_id) else []
        except MlflowException:
            return {}
        steps = {item.path: step_of(Path(item.path)) for item in found if item.is_dir}
        return {step: path for path, step in steps.items() if step is not None}

    def _page(self, folder: str, name: str = INSPECTION) -> str:
        with tempfile.TemporaryDirectory() as place:
            file = self.client.download_artifacts(self.run_id, f"{folder}/{name}".lstrip("/"), place)
            return Path(file).read_text(encoding="utf-8")


def routes(client: Callable[[], MlflowClient]) -> list[Any]:
    """For MLflow's application, before its own. client: asked for when the first page is."""
    from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
    from mlflow.exceptions import MlflowException
    from starlette.requests import Request
    from starlette.routing import Route

    def page(request: Request) -> Response:
        over = "over" in request.query_params
        return shown(request, lambda found: found.over_steps() if over else found.newest(), "inspect page")

    def report(request: Request) -> Response:
        return shown(request, lambda found: found.report(), "page of a sweep")

    def shown(request: Request, ask: Callable[[Inspections], str | None], what: str) -> Response:
        try:
            found = ask(Inspections(client(), request.path_params["run_id"]))
        except (OSError, MlflowException):
            found = None
        if found is None:
            return PlainTextResponse(f"This run has no {what}.", status_code=404)
        return HTMLResponse(
            found, headers={"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        )

    def steps(request: Request) -> Response:
        inspections = Inspections(client(), request.path_params["run_id"])
        return JSONResponse({"steps": inspections.steps(), "sweep": inspections.sweep()})

    return [
        Route(f"/{ADDRESS}/{{run_id}}", page),
        Route(f"/{ADDRESS}/{{run_id}}/{STEPS}", steps),
        Route(f"/{ADDRESS}/{{run_id}}/{REPORT}", report),
    ]
