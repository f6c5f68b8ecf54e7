"""The verb `inspect`: what it prints, what it writes, and what it refuses."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gptlab.cli import main

FEW = ["tracking=none", "progress=none", "samples.n=0", "train.numSteps=3", "hydra.run.dir=runs/one"]
SMALL = ["model.nEmbd=8", "model.nHead=2", "model.blockSize=6"]
TEXTS = "the cat eats\nthe dog sees a cat\na dog eats\nthe cat's here\n" * 10

Said = tuple[int, str, str]
Inspect = Callable[..., Said]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("inspected")
    (place / "texts.txt").write_text(TEXTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["data=text", "data.path=texts.txt", *FEW, *SMALL]) == 0
    return place


@pytest.fixture
def inspect(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Inspect:
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    def run(*arguments: str) -> Said:
        status = main(["inspect", "tracking=none", *arguments])
        return status, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_candidates_and_losses_in_the_terminal(inspect: Inspect) -> None:
    status, out, err = inspect("text=the cat eats", "candidates=3")
    assert (status, err) == (0, "")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0] == '"the cat eats" in runs/one, step 3'
    assert lines[2].split() == ["after", "came", "probability", "loss", "expected"]
    rows = [line.split() for line in lines[4:8]]
    assert [row[:2] for row in rows] == [["BOS", "the"], ["the", "cat"], ["cat", "eats"], ["eats", "BOS"]]
    for row in rows:
        assert len(row) == 4 + 2 * 3
        shares = [float(share.rstrip("%")) for share in row[5::2]]
        assert shares == sorted(shares, reverse=True)
        assert float(row[2].rstrip("%")) <= shares[0]
    mean = sum(float(row[3]) for row in rows) / 4
    assert float(lines[-1].split()[2]) == pytest.approx(mean, abs=0.001)
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("typed", "text"),
    [("the cat's here",) * 2, ("'the cat eats'", "the cat eats"), ('"a cat"', "a cat"), ("A DOG", "a dog")],
)
def test_texts_as_they_are_typed(inspect: Inspect, typed: str, text: str) -> None:
    status, out, err = inspect(f"text={typed}")
    assert (status, err) == (0, "")
    assert out.startswith(f'"{text}" in runs/one')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "text must be given"),
        (["text="], "text must not be empty"),
        (["text=the cat eats the dog sees a cat"], "at most blockSize=6 tokens: it has 8"),
        (["text=the kat"], "the word 'kat' is not in the vocabulary of 8 words. Near it: cat"),
        (["text=a,b"], "the word 'a,b' is not in the vocabulary"),
        (["text=a cat", "run=runs"], "run must be the folder of a run"),
        (["text=a cat", "run=nosuch"], "there is no 'nosuch'"),
        (["text=a cat", "to=pdf"], "to must be terminal or html: got pdf"),
        (["text=a cat", "candidates=0"], "candidates must be at least 1"),
        (["text=a cat", "to=html", "output=page.txt"], "output must be a file that ends in .html"),
        (["text=a cat", "to=html", "output=no/page.html"], "must be in a folder that exists"),
        (["text=a cat", "candidate=3"], "Did you mean candidates?"),
    ],
)
def test_mistakes(inspect: Inspect, arguments: list[str], said: str) -> None:
    status, out, err = inspect(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_run_without_weights(inspect: Inspect) -> None:
    shutil.rmtree("runs/one/checkpoints")
    for run, said in (("runs/one", "must have a checkpoint"), ("latest", "Train one first")):
        status, out, err = inspect("text=a cat", f"run={run}")
        assert (status, out) == (2, "")
        assert said in err


@pytest.mark.slow
def test_the_page_is_written_and_only_a_page_is_replaced(inspect: Inspect) -> None:
    for _ in range(2):
        assert inspect("text=a cat", "to=html", "output=a page.html") == (0, "a page.html\n", "")
    text = Path("a page.html").read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html")
    Path("notes.html").write_text("my notes")
    status, _, err = inspect("text=a cat", "to=html", "output=notes.html")
    assert status == 2
    assert "replaces a file only if it is a page" in err
    assert Path("notes.html").read_text() == "my notes"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_page_that_cannot_be_written(inspect: Inspect) -> None:
    Path("closed").mkdir(mode=0o500)
    status, _, err = inspect("text=a cat", "to=html", "output=closed/page.html")
    assert status == 2
    assert "can be written" in err
