"""MLflow's page as `gptlab ui` serves it. What it looks like: tests/tracking/test_browser.py."""

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

from gptlab.tracking.ui import APP
from gptlab.tracking.ui_page import SCRIPT, with_settings


def test_the_settings_come_before_what_reads_them():
    mlflow = importlib.util.find_spec("mlflow")
    index = Path(str(mlflow.origin)).parent / "server/js/build/index.html"
    page = with_settings(index.read_text(encoding="utf-8"))
    assert page.count(SCRIPT) == 1
    assert page.index(SCRIPT) < page.index("<script defer")


def test_mlflow_finds_it_by_its_entry_point():
    (found,) = entry_points(group="mlflow.app", name=APP)
    assert found.load().__name__ == "create_app"


def test_mlflow_keeps_the_charts_of_a_run_where_they_are_set():
    """The place that its pages are asked for in the browser, which is put together there."""
    mlflow = importlib.util.find_spec("mlflow")
    scripts = (Path(str(mlflow.origin)).parent / "server/js/build/static/js").glob("*.js")
    whole = "\n".join(path.read_text(encoding="utf-8") for path in scripts)
    parts = (
        'getStoreForComponent("RunPage"',
        'getItem("chartUIState")',
        '["MLflowLocalStorage",',
        'version="1.1"',
    )
    assert all(part in whole for part in parts)
    names = ("compareRunCharts", "compareRunSections", "selectedMetricKeys", "metricSectionId")
    assert all(name in whole and name in SCRIPT for name in names)
