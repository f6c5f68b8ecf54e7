"""What a person sees: a run of `tiny` in MLflow's pages, in a real browser.

GPTLAB_SCREENSHOTS names a folder that keeps a picture of each page.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser import MISSING, SIZE, Browser
from tests.ui_pages import GPTLAB, chart_sections, outside, pages_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}"),
]

METRICS = "metrics=[{name: accuracy, train: true}]"
NAME = f"tiny numSteps=300 evalEvery=100 {METRICS}"
COMMAND = ["+experiment=tiny", "train.numSteps=300", "train.evalEvery=100", METRICS]
POINTS = 31  # the first step, and each tenth


@dataclass(frozen=True)
class Shown:
    """The pages of one store, in a browser."""

    browser: Browser
    address: str  # what `gptlab ui` printed
    printed: str  # what the run printed
    folder: Path  # for pictures

    def open_run(self, tab: str = "") -> str:
        """Go the way a person goes: the list, the run, a tab. The text of the page."""
        self.browser.open(self.address)
        self.browser.click(f"//a[normalize-space()='{NAME}']")
        if tab:
            self.browser.click(f"//*[@role='tab' and normalize-space()='{tab}']")
        return self.browser.wait_for_text(NAME, "Overview")

    def picture(self, name: str) -> None:
        """Keep what the window shows, and hold the page to having asked nobody else for anything."""
        self.browser.screenshot(self.folder / f"{name}.png")
        asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        urls = [urlsplit(url) for url in self.browser.script(asked)]
        # What a page has in itself, some versions of Chromium count as well.
        assert {url.hostname for url in urls if url.scheme not in ("data", "blob")} == {"127.0.0.1"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A store with one run of `tiny`, `gptlab ui` on it, and a fresh browser."""
    folder = tmp_path_factory.mktemp("store")
    pictures = Path(os.environ.get("GPTLAB_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    pictures.mkdir(parents=True, exist_ok=True)
    run = subprocess.run(
        [*GPTLAB, *COMMAND], cwd=folder, env=outside(), capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    with pages_of(folder, tmp_path_factory.mktemp("browser")) as (browser, address):
        yield Shown(browser, address, run.stdout, pictures)


def test_the_list_shows_the_run_and_how_good_it_is(shown: Shown) -> None:
    shown.browser.open(shown.address)
    shown.browser.find(f"//a[normalize-space()='{NAME}']")
    text = shown.browser.wait_for_text(
        "1 matching run", "parameters.total", "22432", "train/smoothedLoss", "val/loss"
    )
    assert "sentences (" in text
    assert shown.browser.script("return [innerWidth, innerHeight]") == list(SIZE)
    shown.picture("list")


def test_the_page_of_the_run_says_what_ran_and_what_came_of_it(shown: Shown) -> None:
    shown.open_run()
    text = shown.browser.wait_for_text("Description", "Parameters (", "Metrics (", "About this run", "Tags")
    assert "How little does it take until a GPT writes sentences?" in text
    assert "Finished" in text and f"python -m gptlab {' '.join(COMMAND)}" in text
    shown_as = {"model.nEmbd": 16, "model.nLayer": 1, "model.norm.name": "rmsnorm", "train.numSteps": 300}
    for name, value in {**shown_as, "data.name": "sentences", "parameters.total": 22432}.items():
        assert f"\n{name}\n{value}\n" in text
    for name in ("train/loss", "train/learningRate", "train/gradNorm", "val/perplexity", "parameters.mlp"):
        assert re.search(rf"\n{name}\n[\d.e-]+\n", text), name
    loss = re.search(r"\nval/loss\n([\d.]+)\n", text)
    assert loss and f"validation loss {float(loss[1]):.3f} " in shown.printed
    tags = text.partition("\nTags\n")[2]
    assert re.search(r"^engine\s*: xla", tags) and re.search(r"\ndtype\s*: float32\n", tags)
    assert tags.index("version.jax") < tags.index("gptlab.process")
    shown.picture("run")


def test_a_fresh_browser_stays_on_the_training_side(shown: Shown) -> None:
    text = shown.open_run()
    assert "Evaluation runs" not in text  # the GenAI side's word for a run
    assert "Ask questions about your experiments" not in text  # the assistant's panel
    # What a person chooses stays, also when the page is loaded anew.
    shown.browser.click("//*[normalize-space(text())='GenAI']")
    shown.browser.wait_for_text("Evaluation runs")
    shown.browser.script("location.href = '#/experiments/1/runs'; location.reload()")
    shown.browser.wait_for_text("Evaluation runs")
    shown.browser.click("//*[normalize-space(text())='Model training']")
    shown.browser.wait("return !document.body?.innerText.includes('Evaluation runs')")


def test_the_charts_of_a_run_begin_with_its_curves(shown: Shown) -> None:
    for _ in range(2):  # the second time MLflow has kept them
        shown.open_run("Model metrics")
        text = shown.browser.wait_for_text("curves", "train", "val", "learningRate")
        assert chart_sections(text) == ["curves", "train", "val", "Model metrics"], text
    shown.picture("charts")


@pytest.mark.parametrize(
    ("title", "points", "falls"),
    [
        ("train/smoothedLoss vs val/loss", (POINTS, 3), True),
        ("train/accuracy vs val/accuracy", (3, 3), False),
    ],
)
def test_what_was_learnt_and_what_is_held_out_are_in_one_chart(
    title: str, points: tuple[int, int], falls: bool, shown: Shown
) -> None:
    shown.open_run("Model metrics")
    lines = shown.browser.wait(
        "const card = [...document.querySelectorAll('[data-testid=experiment-view-compare-runs-card]')]"
        ".find(card => card.innerText.includes(arguments[0]));"
        "const paths = card?.querySelectorAll('.js-plotly-plot svg .scatterlayer path.js-line') ?? [];"
        "const lines = [...paths].map(path => path.getAttribute('d'));"
        "return lines.length > 1 && lines.every(line => line?.includes('L')) && lines",
        title,
    )
    lines = list(
        dict.fromkeys(lines)
    )  # each is there twice, before and after smoothing, of which there is none
    assert len(lines) == 2
    for line, count in zip(lines, points, strict=True):
        drawn = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+),([\d.]+)", line)]
        # Plotly leaves out points that lie nearly on the line through their neighbours, of a smooth curve many.
        assert count // 2 <= len(drawn) <= count
        assert drawn == sorted(drawn), "steps go to the right"
        assert (drawn[0][1] < drawn[-1][1]) == falls, "an SVG counts downwards"
    shown.picture(f"chart-{title.split()[-1].partition('/')[2]}")


def test_the_artifacts_open(shown: Shown) -> None:
    shown.open_run("Artifacts")
    browser = shown.browser

    def choose(name: str) -> None:
        browser.click(f"//*[normalize-space(text())='{name}']")

    browser.wait_for_text(
        "samples", "checkpoints", "config.yaml", "loss.png", "parameters.json", "tokenizer.json"
    )
    choose("loss.png")
    browser.wait("return [...document.images].some(image => image.complete && image.naturalWidth >= 1000)")
    shown.picture("artifact-loss")
    choose("parameters.json")
    text = browser.wait_for_text("View as table", "positionEmbedding")
    assert re.search(r"matrix\s+shape\s+count\s+part\s+tokenEmbedding\s+597 x 16\s+9552\s+embeddings", text)
    shown.picture("artifact-parameters")
    choose("config.yaml")
    browser.wait_for_text("nEmbd: 16")
    choose("checkpoints")
    choose("step-000300")
    browser.wait_for_text("weights.safetensors", "optimizer.safetensors", "SHA256SUMS")
    choose("samples")
    choose("step-000300.txt")
    last = shown.printed.partition("samples:\n")[2].partition("\nvalidation")[0]
    browser.wait_for_text(*(line.strip() for line in last.splitlines()))
    shown.picture("artifact-samples")
