"""The page on which two runs of a sweep are beside each other, and the way from a run's page to its sweep's."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gptlab
from gptlab.cli import main
from gptlab.inspection.page import Way, numbers, page
from gptlab.inspection.step_pages import RunSteps, page_of_runs
from tests.browser import MISSING, Browser, running_browser
from tests.inspection.inspections import made_inspection

SWEEP = [
    *("-m", "data=text", "data.path=texts.txt", "tracking=none", "progress=none", "samples.n=0"),
    *("model.nLayer=1", "model.nEmbd=4", "model.nHead=2", "model.blockSize=4", "train.numSteps=4"),
    *(
        "checkpoint.every=2",
        "checkpoint.keep=5",
        "data.valFraction=0.25",
        "seed=0,1",
        "hydra.sweep.dir=runs/both",
    ),
]
HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sides")
    (place / "texts.txt").write_text("the cat\na dog\nthe dog\na cat")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(SWEEP) == 0
    return place


def shown_in(html: str) -> dict[str, Any]:
    found = re.search(r'id="series">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


@pytest.mark.slow
def test_the_runs_of_a_sweep_are_on_one_page_best_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert (
        main(["inspect", "run=runs/both", "steps=true", "text=the cat", "output=runs/both/inspect.html"]) == 0
    )
    html = Path("runs/both/inspect.html").read_text()
    told = shown_in(html)
    losses = {}
    for run in told["runs"]:
        assert [entry["step"] for entry in run["series"]] == [2, 4]
        folder = run["href"].strip("./")
        seen = gptlab.load(f"runs/both/{folder}").inspect("the cat")
        assert run["series"][-1]["numbers"]["loss"] == pytest.approx(seen.loss, rel=1e-5)
        losses[run["name"]] = json.loads(Path(f"runs/both/{folder}/job.json").read_text())["valLoss"]
    assert len(losses) == 2 and list(losses.values()) == sorted(losses.values())
    assert json.loads(Path("runs/both/sweep.json").read_text())["page"] == "sweep.html"
    best = next(iter(losses))
    assert told["runs"][0]["told"] == f"1. {best}: {losses[best]:.4f}"
    assert '<p id="way">All runs: <a href="./sweep.html">' in html


@pytest.mark.slow
def test_the_page_of_a_run_leads_to_its_sweep_s(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert main(["inspect", "run=runs/both/1", "to=html", "text=a dog"]) == 0
    html = Path("inspect.html").read_text()
    assert 'All runs: <a href="./runs/both/sweep.html">' in html
    assert "<code>python -m gptlab inspect run=runs/both steps=true</code>" in html
    Path("elsewhere").mkdir()
    assert main(["inspect", "run=runs/both/1", "steps=true", "text=a dog", "output=elsewhere/one.html"]) == 0
    assert 'href="./../runs/both/sweep.html"' in Path("elsewhere/one.html").read_text()
    (Path("runs/both/sweep.html")).rename("kept.html")
    assert main(["inspect", "run=runs/both/1", "to=html", "text=a dog"]) == 0
    Path("kept.html").rename("runs/both/sweep.html")
    assert 'id="way"' not in Path("inspect.html").read_text(), "it leads to what is there"


@pytest.mark.slow
def test_runs_that_cannot_be_shown_are_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    command = ["inspect", "run=runs/both", "steps=true"]
    assert main(command) == 2
    assert (
        "none can be shown: it has kept no inspections: train with inspect.every=100"
        in capsys.readouterr().err
    )
    kept = Path("runs/both/1/inspect/step-000004")
    kept.mkdir(parents=True)
    (kept / "inspect.html").write_text(page(made_inspection(), "kept"))
    assert main([*command, "output=kept.html"]) == 0
    assert "runs/both/0 is left out: it has kept no inspections" in capsys.readouterr().err
    (run,) = shown_in(Path("kept.html").read_text())["runs"]
    assert run["href"] == "./runs/both/1/"
    assert main([*command, "text=a horse"]) == 2
    assert "horse" in capsys.readouterr().err


def test_equal_vocabularies_are_on_the_page_once_and_names_stay_texts() -> None:
    one, other = numbers(made_inspection()), numbers(made_inspection(losses=np.full(6, 2.0)))
    changed = {**other, "vocabulary": {0: HOSTILE}}
    runs = [
        RunSteps(HOSTILE, HOSTILE, "./0/", [(20, other), (10, one)]),
        RunSteps("b", "2. b", "", [(10, changed)]),
    ]
    html = page_of_runs(runs, HOSTILE, Way(HOSTILE, '"><b>', command="a&b"))
    assert html.count("alert(1)") and "<script>alert" not in html and '"><b>' not in html
    told = shown_in(html)
    assert len(told["vocabularies"]) == 2 and told["vocabularies"][1] == {"0": HOSTILE}
    first, second = told["runs"]
    assert [(entry["step"], entry["vocabulary"]) for entry in first["series"]] == [(10, 0), (20, 0)]
    assert second["series"][0]["vocabulary"] == 1
    assert first["series"][1]["numbers"]["losses"] == other["losses"]
    assert all(entry["numbers"]["weights"] == [] for run in told["runs"] for entry in run["series"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}")
def test_what_is_chosen_in_one_is_chosen_in_the_other(browser: Browser, tmp_path: Path) -> None:
    def seen(loss: float) -> dict[str, Any]:
        return numbers(made_inspection(losses=np.full(6, loss)))

    runs = [
        RunSteps("better", "1. better: 0.5", "./0/", [(100, seen(2.5)), (200, seen(0.5))]),
        RunSteps("middle", "2. middle: 1.5", "./1/", [(100, seen(2.75)), (200, seen(1.5))]),
        RunSteps("worse", "3. worse: 2.0", "./2/", [(100, seen(3.5))]),
    ]
    file = tmp_path / "sides.html"
    file.write_text(page_of_runs(runs, "made up"), encoding="utf-8")
    browser.open(file.as_uri())
    browser.script("window.failures = []; addEventListener('error', event => failures.push(event.message))")
    losses = "return [...document.querySelectorAll('.side')].map(side => side.querySelector('.facts dd')?.innerText)"
    assert browser.script(losses) == ["0.500 nats a token", "3.500 nats a token"], "the best and the last"
    browser.click("//div[@class='side'][1]//button[@aria-label='layer 1, head 1']")
    chosen = "return [...document.querySelectorAll('.head.chosen')].map(head => head.ariaLabel)"
    assert browser.script(chosen) == ["layer 1, head 1"] * 2
    browser.click("//div[@class='side'][2]//button[@aria-label='layer 0, head 0']")
    assert browser.script(chosen) == ["layer 0, head 0"] * 2
    browser.script("scrollTo(0, 0)")
    browser.click("//section[@id='other-words']//button[3]")
    assert browser.text().count("Position 1\n") == 2
    browser.script("dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', cancelable: true}))")
    assert browser.text().count("Position 2\n") == 2, "one key, one position in both"
    pick = (
        "const s = document.querySelector('[aria-label=\"the other run\"]'); s.selectedIndex = arguments[0];"
    )
    pick += "s.dispatchEvent(new Event('change'))"
    browser.script(pick, 2)
    assert browser.script(losses) == ["0.500 nats a token", "1.500 nats a token"]
    browser.click("//button[@aria-label='earlier step']")
    assert browser.script(losses) == ["2.500 nats a token", "2.750 nats a token"]
    assert browser.script(chosen) == ["layer 0, head 0"] * 2 and browser.text().count("Position 2\n") == 2
    tops = (
        "return [...document.querySelectorAll('section')].map(s => [s.id.replace('other-', ''), s.offsetTop])"
    )
    places = browser.script(tops)
    assert len(places) == 10 and len({tuple(place) for place in places}) == 5, (
        "side by side, section by section"
    )
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.script(wide) == 0
    browser.resize(500, 900)
    assert browser.script(wide) == 0
    order = [name for name, top in sorted(browser.script(tops), key=lambda place: place[1])]
    assert order[:4] == ["words", "words", "attention", "attention"]
    browser.script(pick, 0)
    assert browser.script("return document.querySelectorAll('section').length") >= 5
    assert browser.script(
        "return [...document.querySelectorAll('.side')].map(s => s.firstChild.offsetHeight > 0)"
    ) == [
        True,
        False,
    ]
    assert browser.script("return failures") == []


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}")
def test_a_copy_elsewhere_has_no_way(browser: Browser, tmp_path: Path) -> None:
    way = Way("a sweep", "../../../sweep.html", at="inspect/step-000100/inspect.html")
    html = page(made_inspection(), "kept", way=way)
    kept = tmp_path / "0 a/inspect/step-000100/inspect.html"
    for file, there in ((kept, True), (tmp_path / "inspect.html", False)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html)
        browser.open(file.as_uri())
        browser.wait("return document.documentElement.dataset.drawn")
        assert browser.script("return document.getElementById('way') !== null") is there
