"""MLflow's pages with a better first sight: `mlflow server --app-name gptlab` loads this module.

A fresh browser shows MLflow's GenAI side, even after a click on a run in the list of training runs;
it opens an assistant over a quarter of the window; and it lists runs without a single number. All
three are settings that the pages keep in the browser. They are set here before the pages read them,
where the browser has none yet: what a person chooses stays.
"""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.tracking import ui_charts, ui_inspect
from gptlab.tracking.facts import COUNTS

if TYPE_CHECKING:
    from fastapi import FastAPI

# Which server it is that answers at a port: the one with this variable in its environment tells it there.
MARK, MARK_PAGE = "GPTLAB_UI_MARK", "gptlab-mark"

# The names are those of MLflow 3.17; to another version they would say nothing, and do no harm.
SETTINGS: dict[str, Any] = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
}
RUN_LIST = 'MLflowLocalStorage-1.1-ExperimentPage-["EXPERIMENT"]-ReactComponentState'
COLUMNS = [
    *(f"metrics.`{name}`" for name in ("val/loss", "val/best", "train/smoothedLoss", f"{COUNTS}.total")),
    "attributes.`Dataset`",
]

SCRIPT = f"<script>\ntry {{\n  const [settings, runList, columns] = {strict_json.dumps([SETTINGS, RUN_LIST, COLUMNS])};"
SCRIPT += """
  const experiment = location.hash.match(/^#\\/experiments\\/(\\d+)/);
  if (experiment) settings[runList.replace("EXPERIMENT", experiment[1])] = {selectedColumns: columns};
  for (const [name, value] of Object.entries(settings))
    if (localStorage.getItem(name) === null) localStorage.setItem(name, JSON.stringify(value));
} catch (error) { /* a browser that keeps nothing */ }
"""
SCRIPT += f"{ui_charts.SCRIPT}\n{ui_inspect.SCRIPT}\n</script>"


def with_settings(page: str) -> str:
    """MLflow's index.html with the script before all others."""
    return page.replace("<head>", f"<head>{SCRIPT}", 1)


def create_app() -> "FastAPI":
    """MLflow's own application, which answers as ever but for its one HTML page."""
    import mlflow.server
    from fastapi.responses import HTMLResponse, PlainTextResponse
    from mlflow.server.fastapi_app import app
    from starlette.requests import Request
    from starlette.routing import Route

    index = Path(str(mlflow.server.app.static_folder), "index.html")

    def page(request: Request) -> HTMLResponse:
        return HTMLResponse(with_settings(index.read_text(encoding="utf-8")))

    # First, since what MLflow mounts last takes every address.
    app.router.routes.insert(0, Route("/", page))

    def mark(request: Request) -> PlainTextResponse:
        return PlainTextResponse(os.environ.get(MARK, ""))

    app.router.routes.insert(0, Route(f"/{MARK_PAGE}", mark))
    # Its store is opened when the first page is asked for: the server is to answer soon.
    client = cache(lambda: mlflow.MlflowClient(os.environ["MLFLOW_BACKEND_STORE_URI"]))
    app.router.routes[:0] = ui_inspect.routes(client)
    return app
