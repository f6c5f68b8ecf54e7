"""Whole entries by the command: reproduced or not, typed keys, what is refused, stopped and gone on with."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from gptlab.cli import main
from tests.resuming import TINY, write_corpus
from tests.sweeping import command_in, signal_at
from tests.tracked import client

QUICK = [*TINY, "samples.n=0", "engine=scalar", "train.logEvery=1", "train.evalEvery=3"]
LOWER = {"says": "more steps end lower", "difference": ["loss of many", "loss of few"], "atMost": 0}
HIGHER = {"says": "more steps end higher", "difference": ["loss of many", "loss of few"], "atLeast": 0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an entry `longer`."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    write_entry()
    return tmp_path


def write_entry(*claims: Any, **changes: Any) -> None:
    entry = {
        "claim": "More steps learn more.",
        "source": "Everybody 1958, who ever trained a model",
        "minutes": 0.1,
        "seeds": 2,
        "base": QUICK,
        "arms": {"few": ["train.numSteps=3"], "many": ["train.numSteps=12"]},
        "measures": {"loss": {"last": "val/loss"}, "size": {"fact": "parameters"}},
        "claims": list(claims) or [{**LOWER, "atMost": 1}],
        "picture": [{"curves": "val/loss"}, {"bars": ["loss"]}],
        **changes,
    }
    place = Path("experiments/gallery")
    place.mkdir(parents=True, exist_ok=True)
    (place / "longer.yaml").write_text(yaml.safe_dump(entry, sort_keys=False))


def found() -> tuple[Path, dict[str, Any]]:
    """The newest result's folder, and its numbers."""
    file = max(Path("runs").rglob("gallery.json"), key=lambda path: path.stat().st_mtime_ns)
    return file.parent, json.loads(file.read_text())


@pytest.mark.slow
def test_a_finding_is_reproduced_or_not(folder: Path, capsys: Any) -> None:
    assert main(["gallery", "longer", "seeds=1"]) == 0
    said = capsys.readouterr().out
    assert "reproduced: the claim holds (1 seed, with seeds=1)" in said and "not reproduced" not in said
    place, told = found()
    (claim,) = told["claims"]
    assert told["verdict"] == "reproduced" and claim["state"] == "holds" and claim["value"] < 0
    losses = {arm: seeds[0][0]["loss"] for arm, seeds in told["measures"].items()}
    assert claim["value"] == pytest.approx(losses["many"] - losses["few"])
    picture = (place / "gallery.svg").read_text()
    assert picture.startswith("<?xml") and "few" in picture and "many" in picture

    # The same runs, and a claim that they refute.
    write_entry(HIGHER, LOWER)
    assert main(["gallery", "longer", "seeds=1"]) == 1
    said = capsys.readouterr().out
    assert "not reproduced: 1 of 2 claims hold" in said and "does not hold" in said
    again, told = found()
    assert again != place and [claim["state"] for claim in told["claims"]] == ["fails", "holds"]
    assert told["measures"]["many"][0][0]["loss"] == losses["many"]
    assert not list(again.rglob("metrics.jsonl")), "a run that is there is not trained again"


@pytest.mark.slow
def test_a_grid_of_rates_some_of_which_break(folder: Path, capsys: Any) -> None:
    write_entry(
        {"says": "best rate", "value": "loss of few", "across": "bestValue", "atLeast": 0.01, "atMost": 1},
        {"says": "loss", "value": "loss of few at 0.1", "atMost": 9},
        seeds=1,
        arms={"few": []},
        grid={"train.learningRate": [0.01, 0.1, 1e200]},
        picture=[{"grid": "loss"}, {"curves": "val/loss"}],
    )
    status = main(["gallery", "longer", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert status == 0 and told["reproduced"]
    losses = [seeds[0]["loss"] for seeds in told["measures"]["few"]]
    assert losses[2] is None and losses[0] != losses[1]
    assert len(told["broken"]) == 1 and told["broken"][0].startswith("few at 1e+200, seed 0: ")


@pytest.mark.slow
def test_typed_keys_stand_in_for_the_entrys(folder: Path, capsys: Any) -> None:
    assert main(["gallery", "longer", "seeds=1", "seed=7", "model.nEmbd=8", "model/norm=layernorm"]) in (0, 1)
    assert "with seeds=1 seed=7 model.nEmbd=8 model/norm=layernorm" in capsys.readouterr().out
    place, told = found()
    assert told["seeds"] == [7]
    for file in place.rglob("config.yaml"):
        config = yaml.safe_load(file.read_text())
        assert config["model"]["nEmbd"] == 8 and config["model"]["norm"]["name"] == "layernorm"
        assert config["train"]["numSteps"] in (3, 12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["longr"], "no entry of the gallery is named 'longr'. Did you mean longer"),
        (["longer", "train.numSteps=9"], "train.numSteps is what the runs of longer differ in"),
        (["longer", "seeds=0"], "seeds must be from 1 to 100: got 0"),
        (["longer", "seeds=many"], "seeds"),
        (["longer", "train.numStep=9"], "train.numStep"),
        (["longer", "model.nHead=3"], "nHead must divide nEmbd"),
        (["longer", "seed=1,2"], "gallery takes one value for each key"),
        (["longer", "squaredrelu"], "one entry at a time"),
        (["seeds=3"], "gallery takes a name before its keys"),
        (["longer", "--sed=3"], "keys are typed without dashes"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(folder: Path, capsys: Any, arguments: list[str], said: str) -> None:
    assert main(["gallery", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not Path("runs").exists() or not list(Path("runs").rglob("run.json"))


@pytest.mark.slow
def test_an_arm_that_cannot_be_trained_is_named(folder: Path, capsys: Any) -> None:
    write_entry(arms={"few": [], "many": ["model/norm=nosuch"]})
    assert main(["gallery", "longer"]) == 2
    assert "the arm many of longer: " in capsys.readouterr().err


def test_a_file_that_is_no_entry_is_refused_and_listed(folder: Path, capsys: Any) -> None:
    write_entry(seeds="two")
    assert main(["gallery", "longer"]) == 2
    assert "longer.yaml: seeds must be a whole number: got two" in capsys.readouterr().err
    assert main(["gallery"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "longer cannot be read: " in said and "Squaring what ReLU lets through" in said


@pytest.mark.slow
def test_what_was_stopped_goes_on(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        signal_at(patch, job=2, step=2)
        assert main(["gallery", "longer"]) == 128 + signal.SIGINT
    told = capsys.readouterr()
    assert "1 of 4 runs have ended, and no verdict can be given yet" in told.out
    command = command_in(told.err)
    assert command[:2] == ["gallery", "longer"] and command[-1].startswith("sweep.resume=")
    assert not list(Path("runs").rglob("gallery.json"))
    assert main(command) == 0
    assert "reproduced: the claim holds (2 seeds)" in capsys.readouterr().out
    place, _ = found()
    assert len(list(place.rglob("job.json"))) == 4


@pytest.mark.slow
def test_the_same_result_is_drawn_in_the_same_bytes(folder: Path) -> None:
    pictures = []
    for _ in range(2):
        assert main(["gallery", "longer", "seeds=1"]) == 0
        pictures.append((found()[0] / "gallery.svg").read_bytes())
    assert pictures[0] == pictures[1]


def test_help_has_examples(capsys: Any) -> None:
    assert main(["gallery", "--help"]) == 0
    assert capsys.readouterr().out.count("python -m gptlab gallery") >= 3


@pytest.mark.slow
def test_the_verdict_is_on_the_parent_run_in_mlflow(folder: Path, mlflow_folder: Path) -> None:
    tracked = [word for word in QUICK if not word.startswith("tracking=")]
    write_entry(seeds=1, base=tracked)
    assert main(["gallery", "longer"]) == 0
    place, told = found()
    sweep = json.loads((place / "sweep.json").read_text())
    parent = client().get_run(sweep["id"])
    assert parent.data.tags["verdict"] == "reproduced" and parent.data.tags["gallery"] == "longer"
    assert parent.data.metrics["claim.1"] == pytest.approx(told["claims"][0]["value"])
    assert {"gallery.svg", "gallery.json"} <= {file.path for file in client().list_artifacts(sweep["id"])}
