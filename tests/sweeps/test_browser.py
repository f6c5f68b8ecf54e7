"""What a person sees of a sweep in MLflow's pages, in a real browser.

GPTLAB_SCREENSHOTS names a folder that keeps a picture of each page.
"""

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.browser import MISSING
from tests.ui_pages import GPTLAB, chart_sections, outside, pages_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}"),
]

SWEEP = ["-m", "+experiment=tiny", "model.nEmbd=16,32,64", "model.nLayer=1,2"]
QUICK = ["train.numSteps=60", "train.evalEvery=20"]
NAME = "nEmbd × nLayer of tiny numSteps=60 evalEvery=20"


def children(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "mlflow.db") as store:
        return [row[0] for row in store.execute("select run_uuid from tags where key='mlflow.parentRunId'")]


def test_a_sweep_is_one_row_that_opens_and_its_runs_compare(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    pictures = Path(os.environ.get("GPTLAB_SCREENSHOTS") or tmp_path / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*GPTLAB, *SWEEP, *QUICK], cwd=folder, env=outside(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with pages_of(folder, tmp_path_factory.mktemp("browser")) as (browser, address):
        browser.open(address)
        text = browser.wait_for_text(NAME, "7 matching runs", "val/loss")
        assert "nEmbd=64 nLayer=2" not in text, "the children are below their parent"
        browser.click("//*[@role='row' and .//a[starts-with(normalize-space(),'nEmbd × nLayer')]]//button[1]")
        text = browser.wait_for_text(*(f"nEmbd={n} nLayer={k}" for n in (16, 32, 64) for k in (1, 2)))
        assert text.count("175744") == 2, "the parent shows the best child's numbers"
        browser.screenshot(pictures / "sweep.png")

        browser.click(f"//a[normalize-space()='{NAME}']")
        browser.wait_for_text("About this run", "bestOverrides")
        browser.screenshot(pictures / "sweep-parent.png")
        browser.click("//*[@role='tab' and normalize-space()='Model metrics']")
        text = browser.wait_for_text("curves", "train", "val", "Model metrics")
        assert chart_sections(text) == ["curves", "train", "val", "Model metrics"], text
        browser.screenshot(pictures / "sweep-charts.png")
        browser.click("//*[@role='tab' and normalize-space()='Artifacts']")
        browser.wait_for_text("losses.png", "by-nEmbd.png", "by-parameters.png", "summary.csv")
        browser.click("//*[normalize-space(text())='summary.json']")
        browser.wait_for_text("model/nEmbd", "model/nLayer")
        cells = "return [...document.querySelectorAll('[role=cell]')].map(cell => cell.innerText.trim())"
        shown = browser.wait(f"const cells = (() => {{ {cells} }})(); return cells.length && cells")
        assert {"16", "32", "64", "1", "2"} <= set(shown)
        browser.screenshot(pictures / "sweep-table.png")

        chosen = f"runs={quote(json.dumps(children(folder)))}&experiments={quote(json.dumps(['1']))}"
        browser.open(f"{address.partition('#')[0]}#/compare-runs?{chosen}")
        browser.wait_for_text("Comparing 6 Runs", "model.nEmbd", "model.nLayer")
        browser.wait("return document.querySelectorAll('.js-plotly-plot svg').length > 0")
        browser.screenshot(pictures / "sweep-compare.png")
