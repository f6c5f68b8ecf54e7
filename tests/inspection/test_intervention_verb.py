"""The verb `inspect` with parts of the model taken out, and a loaded run that is asked for the same."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gptlab
from gptlab.cli import main
from gptlab.errors import UserError

FEW = ["tracking=none", "progress=none", "samples.n=0", "train.numSteps=3", "hydra.run.dir=runs/one"]
SMALL = ["model.nLayer=1", "model.nEmbd=4", "model.nHead=2", "model.blockSize=6"]
TEXTS = [
    f"the {one} {verb}\na {one} {verb} the {other}"
    for one in ("cat", "dog")
    for verb in ("eats", "sees")
    for other in ("cat", "mouse")
]
TEXT = "the cat eats"

Inspect = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("touched")
    (place / "texts.txt").write_text("\n".join(TEXTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["data=text", "data.path=texts.txt", "data.valFraction=0.5", *FEW, *SMALL]) == 0
    return place


@pytest.fixture
def inspect(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inspect:
    monkeypatch.chdir(place)
    capsys.readouterr()

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["inspect", "tracking=none", *arguments])
        return status, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_a_row_a_token_with_what_its_loss_gains(inspect: Inspect) -> None:
    status, out, err = inspect(f"text={TEXT}", "without=layers.0.head.1")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f'"{TEXT}" in runs/one, step 3'
    assert lines[1] == "without layers.0.head.1 (zero instead)"
    rows = [line.split() for line in lines if re.match(r" *(BOS|the|cat|eats) ", line)]
    assert [row[:2] for row in rows] == [["BOS", "the"], ["the", "cat"], ["cat", "eats"], ["eats", "BOS"]]
    for row in rows:
        assert float(row[3]) - float(row[2]) == pytest.approx(float(row[4]), abs=0.0011)
    told = json.loads(inspect(f"text={TEXT}", "without=layers.0.head.1", "--json")[1])
    assert [f"{effect:+.3f}" for effect in told["without"]["effects"]] == [row[4] for row in rows]
    assert (told["run"], told["step"], told["without"]["parts"]) == ("runs/one", 3, ["layers.0.head.1"])
    assert told["positions"][1] == {
        "after": "the",
        "came": "cat",
        "loss": pytest.approx(float(rows[1][2]), abs=0.001),
    }


@pytest.mark.slow
def test_several_parts_by_another_text_or_by_the_mean(inspect: Inspect) -> None:
    several = "without=[layers.0.mlp, layers.0.head.0]"
    patched = json.loads(inspect(f"text={TEXT}", several, "from=a dog sees", "--json")[1])["without"]
    assert (patched["parts"], patched["filled"]) == (
        ["layers.0.mlp", "layers.0.head.0"],
        'as in "a dog sees"',
    )
    same = json.loads(inspect(f"text={TEXT}", several, f"from={TEXT}", "--json")[1])["without"]
    assert np.abs(same["effects"]).max() < 1e-6 < np.abs(patched["effects"]).max()
    mean = json.loads(inspect(f"text={TEXT}", several, "with=mean", "documents=2", "--json")[1])["without"]
    assert mean["filled"] == "mean of 2 held-out documents"
    assert np.abs(mean["effects"]).max() > 1e-6


@pytest.mark.slow
def test_the_table_of_all_heads_and_the_page_with_both(inspect: Inspect, place: Path, tmp_path: Path) -> None:
    status, out, err = inspect("heads=true", f"text={TEXT}")
    assert (status, err) == (0, "")
    assert out.count("layers.0 ") == 2
    assert f'"{TEXT}", mean loss' in out and "held-out documents, mean loss" in out
    told = json.loads(inspect("heads=true", "--json")[1])
    assert "text" not in told
    parts = [row["part"] for row in told["heads"]["parts"]]
    assert parts == ["layers.0.head.0", "layers.0.head.1", "layers.0.attention", "layers.0.mlp"]
    kept = [json.loads(line) for line in (place / "runs/one/metrics.jsonl").read_text().splitlines()]
    held_out = [row["val/loss"] for row in kept if "val/loss" in row]
    assert told["heads"]["heldOutLoss"] == pytest.approx(held_out[-1], abs=1e-5)
    page = tmp_path / "page.html"
    assert inspect("heads=true", f"text={TEXT}", "without=layers.0.mlp", "to=html", f"output={page}")[0] == 0
    found = re.search(r'id="numbers">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    shown = json.loads(found[1])
    assert shown["intervention"]["parts"] == ["layers.0.mlp"]
    assert len(shown["intervention"]["effects"]) == len(shown["losses"]) == 4
    assert [len(side["effects"]) for side in shown["heads"]["sides"]] == [4, 4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([f"text={TEXT}", "without=layers.1.mlp"], "a layer of this model must be 0 to 0"),
        ([f"text={TEXT}", "without=layers.0.head.2"], "a head of layer 0 must be 0 to 1"),
        ([f"text={TEXT}", "without=mlp"], "without must name parts as layers.0.head.1"),
        ([f"text={TEXT}", "without=layers.0.mlp", "from=a dog"], "must have as many tokens as the text"),
        ([f"text={TEXT}", "from=a dog eats"], "got from= alone"),
        ([f"text={TEXT}", "with=mean"], "got with= alone"),
        ([f"text={TEXT}", "without=layers.0.mlp", "with=noise"], "must be zero or mean: got noise"),
        ([f"text={TEXT}", "heads=true", "documents=0"], "documents must be at least 1"),
        (["without=layers.0.mlp"], "text must be given"),
        (["heads=true", "to=html"], "text must be given"),
        ([f"text={TEXT}", "to=html", "--json"], "two ways to show it"),
    ],
)
def test_mistakes(inspect: Inspect, arguments: list[str], said: str) -> None:
    status, out, err = inspect(*arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_loaded_run_is_asked_for_the_same(inspect: Inspect) -> None:
    run = gptlab.load("runs/one")
    told = json.loads(inspect("heads=true", f"text={TEXT}", "--json")[1])["heads"]
    found = run.ablate_heads(TEXT)
    assert [found.of(row["part"])["onHeldOut"] for row in told["parts"]] == [
        row["onHeldOut"] for row in told["parts"]
    ]
    assert found.of("layers.0.mlp")["onText"] == pytest.approx(
        run.without("layers.0.mlp", TEXT).effect, abs=1e-6
    )
    activations = run.activations(TEXT)
    assert activations["layers.0.mlp"].shape == (4, 4)
    assert "layers.0.heads" in repr(activations) and "4 x 2 x 2" in repr(activations)
    with pytest.raises(UserError, match=r"Did you mean layers\.0\.mlp"):
        activations["layers.0.mpl"]


def test_without_its_data_a_run_shows_the_text_alone_and_says_why(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    run = gptlab.load("runs/one")
    found = run.ablate_heads(TEXT)
    assert found.onHeldOut is None and "texts.txt" in found.note
    assert found.note in repr(found)
    with pytest.raises(UserError, match=r"texts\.txt"):
        run.ablate_heads()
    (tmp_path / "texts.txt").write_text("the cat eats\n" * 9 + "a dog sees the mouse")
    assert "has changed since" in gptlab.load("runs/one").ablate_heads(TEXT).note
