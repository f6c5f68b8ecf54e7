"""The page with a slider over steps: of a run's checkpoints, and of the pages that it kept."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gptlab
from gptlab.cli import main
from gptlab.inspection.page import numbers, numbers_in, page
from gptlab.inspection.step_pages import page_of_steps
from tests.browser import MISSING, Browser, running_browser
from tests.inspection.inspections import made_inspection

TRAIN = [
    "data=text",
    "data.path=texts.txt",
    "tracking=none",
    "progress=none",
    "samples.n=0",
    "hydra.run.dir=runs/one",
]
SMALL = ["model.nLayer=1", "model.nEmbd=4", "model.nHead=2", "model.blockSize=4", "train.numSteps=6"]
SERIES = re.compile(r'id="series">(.*?)</script>', re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("steps")
    (place / "texts.txt").write_text("the cat\na dog\nthe dog\na cat")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([*TRAIN, *SMALL, "checkpoint.every=2", "checkpoint.keep=5"]) == 0
    return place


def shown_in(file: Path) -> list[dict]:
    found = SERIES.search(file.read_text())
    assert found is not None
    return json.loads(found[1])


@pytest.mark.slow
def test_each_checkpoint_is_a_step_of_the_page(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    file = tmp_path / "steps.html"
    assert main(["inspect", "tracking=none", "text=the cat", "steps=true", f"output={file}"]) == 0
    series = shown_in(file)
    assert [entry["step"] for entry in series] == [2, 4, 6]
    assert series[-1]["numbers"]["loss"] == pytest.approx(
        gptlab.load("runs/one").inspect("the cat").loss, rel=1e-5
    )
    assert len({entry["numbers"]["loss"] for entry in series}) == 3
    assert all(entry["numbers"]["weights"] == [] for entry in series)


@pytest.mark.slow
def test_without_a_text_the_pages_that_were_kept_are_the_steps(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    command = ["inspect", "tracking=none", "steps=true", f"output={tmp_path / 'steps.html'}"]
    assert main(command) == 2
    assert "needs pages of inspections of two steps or more: runs/one has 0" in capsys.readouterr().err
    kept = {step: made_inspection(positions=3 + step) for step in (10, 9, 100)}
    for step, inspection in kept.items():
        folder = Path(f"runs/one/inspect/step-{step:06d}")
        folder.mkdir(parents=True)
        (folder / "inspect.html").write_text(page(inspection, f"step {step}"))
    broken = Path("runs/one/inspect/step-000050")
    broken.mkdir()
    (broken / "inspect.html").write_text("<p>no page")
    assert main(command) == 0
    series = shown_in(tmp_path / "steps.html")
    assert [entry["step"] for entry in series] == [9, 10, 100]
    assert series[0]["numbers"] == {
        **numbers(kept[9]),
        "vocabulary": series[0]["numbers"]["vocabulary"],
        "weights": [],
    }
    assert main([*command, "heads=true"]) == 2
    assert "is a page of its own" in capsys.readouterr().err


def test_the_numbers_of_a_page_are_read_back() -> None:
    inspection = made_inspection()
    assert numbers_in(page(inspection, "</script>")) == json.loads(json.dumps(numbers(inspection)))
    with pytest.raises(ValueError, match="no page"):
        numbers_in('<script type="application/json" id="numbers">{}</script>')


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}")
def test_the_slider_draws_the_step_and_keeps_what_is_chosen(browser: Browser, tmp_path: Path) -> None:
    steps = {
        100: made_inspection(),
        200: made_inspection(losses=np.full(6, 2.0)),
        1000: made_inspection(losses=np.full(6, 0.5)),
    }
    file = tmp_path / "steps.html"
    file.write_text(
        page_of_steps([(step, numbers(one)) for step, one in steps.items()], "made up"), encoding="utf-8"
    )
    browser.open(file.as_uri())
    browser.wait_for_text("step 1,000", "0.50")
    browser.script("window.failures = []; addEventListener('error', event => failures.push(event.message))")
    browser.click("//button[@aria-label='layer 1, head 1']")
    browser.click("//section[@id='words']//button[3]")
    browser.click("//button[@aria-label='earlier step']")
    browser.wait_for_text("step 200", "Position 1", "2.00")
    chosen = "return document.querySelector('.head.chosen').getAttribute('aria-label')"
    assert browser.script(chosen) == "layer 1, head 1"
    browser.script(
        "const s = document.getElementById('step'); s.value = 0; s.dispatchEvent(new Event('input'))"
    )
    browser.wait_for_text("step 100", f"{steps[100].losses[1]:.3f} nats")
    # An arrow key moves by one position, however often the page has been drawn.
    browser.script("dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    browser.wait_for_text("Position 2")
    assert browser.script("return document.querySelectorAll('#sections section').length") == 5
    assert browser.script("return failures") == []
