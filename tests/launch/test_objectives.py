"""Runs with an objective and metrics: resumed to the bit, begun from each other, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

import gptlab
from gptlab.ablation.comparable import bits_per_byte
from gptlab.cli import main
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.errors import UserError
from gptlab.launch.experiment import Experiment
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from tests.resuming import TINY, as_killed, assert_same_end, logged

SOME = [
    "train.numSteps=8",
    "train.logEvery=2",
    "train.evalEvery=4",
    "checkpoint.every=3",
    "checkpoint.keep=9",
]
ANSWERS = ["objective=answers", "objective.after=the", "objective.zLoss=0.01"]


def train(name: str, *arguments: str) -> Path:
    assert main([*TINY, *SOME, "engine=scalar", f"hydra.run.dir={name}", *arguments]) == 0
    return Path(name)


def experiment_of(*overrides: str) -> Experiment:
    registry = prepared().registry
    return Experiment.of(typed(Config, plain(compose("train", [*TINY, *overrides]))), registry)


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_what_counts_is_in_the_losses_and_metrics_and_a_resumed_run_is_the_same(folder: Path) -> None:
    whole = train("whole", *ANSWERS, "metrics=[accuracy,{name: exactMatch, by: length}]", "train.batchSize=3")
    rows = logged(whole)
    assert all(0 <= row["train/counted"] < row["train/tokens"] for row in rows)
    assert {"val/loss", "val/accuracy", "val/exactMatch"} <= rows[-1].keys()
    assert 0 <= rows[-1]["val/exactMatch"] <= 1 and "val/accuracy" not in rows[0]
    copy = as_killed(whole, Path("killed"), 3)
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, whole)
    assert main([f"resume={copy}", "objective.zLoss=0.5"]) == 2


@pytest.mark.slow
def test_an_objectives_weights_are_those_of_its_training_alone(folder: Path) -> None:
    source = train("source", "objective=multitoken", "train.batchSize=2")
    trained = read_checkpoint(checkpoint_folders(source)[-1]).weights
    assert "objective.head1" in trained
    copy = as_killed(source, Path("killed"), 3)
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, source)
    loaded = gptlab.load("source")
    assert set(loaded.weights) == set(trained) - {"objective.head1"}
    assert len(loaded.generate(n=1)) == 1
    assert main(["export", "run=source", "output=w.safetensors"]) == 0
    for number, more in enumerate(
        (["objective=multitoken"], ["objective=nextToken"], ["model/adapter=lora"])
    ):
        train(f"next{number}", "initFrom=source", *more)
    train("again", "initFrom=next0", "objective=multitoken", "objective.ahead=3", "model/adapter=lora")
    heads = {}
    for name in ("next0", "next1", "again"):
        weights = read_checkpoint(checkpoint_folders(Path(name))[-1]).weights
        heads[name] = sorted(key for key in weights if "head" in key and "lora" not in key)
    assert heads == {
        "next0": ["objective.head1"],
        "next1": [],
        "again": ["objective.head1", "objective.head2"],
    }


MEASURED = "metrics=[{name: accuracy, by: [length, position], train: true}, bitsPerByte, lossByFrequency]"


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_slices_bits_and_training_documents_are_logged_and_a_resumed_run_is_the_same(folder: Path) -> None:
    whole = train("whole", MEASURED, "model.blockSize=16")
    row, plain = logged(whole)[-1], logged(train("plain", "model.blockSize=16"))[-1]
    assert {name: row[name] for name in plain} == plain, "what is measured changes nothing"
    names = row.keys() - plain.keys()
    assert {"train/accuracy", "train/accuracy/length/1-4", "train/accuracy/position/1-4"} <= names
    assert all(name.startswith(("val/", "train/accuracy")) for name in names)
    assert {"val/accuracy/position/1-4", "val/bitsPerByte"} <= names
    assert {"val/lossByFrequency/rare", "val/lossByFrequency/frequent"} <= names
    assert "val/lossByFrequency" not in names
    data = experiment_of("model.blockSize=16").data
    assert row["val/bitsPerByte"] == pytest.approx(row["val/loss"] * bits_per_byte(data), rel=1e-9)
    copy = as_killed(whole, Path("killed"), 3)
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, whole)


@pytest.mark.slow
def test_a_metric_of_answers_is_not_asked_of_data_without_any(folder: Path, capsys) -> None:
    assert main([*TINY, *SOME, "engine=scalar", "metrics=[exactMatch]"]) == 2
    assert "exactMatch needs data with answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["metrics=[{name: accuracy, by: lenght}]"],
            "no by of metric accuracy is named 'lenght'. Did you mean length",
        ),
        (
            ["metrics=[{name: exactMatch, by: position}]"],
            "exactMatch is about whole documents.*got by=position",
        ),
        (["metrics=[{name: accuracy, train: yes please}]"], "train of metric accuracy must be true or false"),
        (["metrics=[acuracy]"], "no metric is named 'acuracy'. Did you mean accuracy"),
        (["metrics=[accuracy,accuracy]"], "metrics must name each metric once: got accuracy twice"),
        (["metrics=[3]"], r"metrics\[0\] must be a name, or a name and fields: got 3"),
        (["metrics=[{name: accuracy, k: 3}]"], "no field of metric accuracy is named 'k'"),
        (["objective.zLoss=-1"], r"objective\.zLoss must be at least 0"),
        (["objective.labelSmoothing=1"], r"objective\.labelSmoothing must be at least 0 and below 1"),
        (["model.softCap=0"], r"model\.softCap must be above 0: got 0"),
    ],
)
def test_what_is_wrong_is_said_before_the_data_is_read(folder: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        experiment_of(*overrides)


@pytest.mark.slow
def test_a_token_that_is_none_is_said(folder: Path) -> None:
    with pytest.raises(UserError, match=r"objective\.after must be a token of the vocabulary: the word '='"):
        experiment_of("objective=answers").definition  # noqa: B018
    with pytest.raises(UserError, match=r"objective\.after must be one token: 'the cat' is 2"):
        experiment_of("objective=answers", "objective.after='the cat'").definition  # noqa: B018


@pytest.mark.slow
def test_an_objective_that_counts_nothing_of_the_data_is_refused(folder: Path, capsys: Any) -> None:
    Path("words.txt").write_text(Path("corpus.txt").read_text() + "zebra\n")
    words = ["objective=answers", "objective.after=zebra", "tokenizer.path=words.txt"]
    assert main([*TINY, *SOME, "engine=scalar", *words]) == 2
    assert "objective=answers must count some tokens: none counts in " in capsys.readouterr().err


@pytest.mark.slow
def test_which_tokens_count_is_known_without_training(folder: Path) -> None:
    assert experiment_of().counted == experiment_of("objective.zLoss=0.1").counted == ""
    some = {experiment_of("objective=answers", f"objective.after={word}").counted for word in ("the", "cat")}
    assert len(some) == 2 and "" not in some
