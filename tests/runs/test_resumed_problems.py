"""Runs on data with right answers go on where they were ended: the same steps to the bit."""

import json
from pathlib import Path

import pytest

from gptlab.cli import main
from tests.resuming import as_killed, assert_same_end, logged

SMALL = [
    "model.nEmbd=4",
    "model.nHead=2",
    "model.blockSize=13",
    "samples.n=2",
    "tracking=none",
    "progress=none",
]
SOME = [
    "train.numSteps=8",
    "train.logEvery=2",
    "train.evalEvery=4",
    "checkpoint.every=2",
    "checkpoint.keep=9",
]
CHARACTERS = ["data=addition", "tokenizer=char", "data.digits=2", "data.longer=3", "data.numHeldOut=20"]
DATA = {
    "endless": [*CHARACTERS, "train.batchSize=7", "metrics=[{name: accuracy, by: carries}, exactMatch]"],
    "so many": [*CHARACTERS, "data.numExamples=9", "train.batchSize=7"],
    "full batch": ["data=modular", "data.p=5", "data.valFraction=0.5", "train.batchSize=all"],
}


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(folder: Path, data: list[str]) -> None:
    assert main([*SMALL, *SOME, *data, "engine=scalar", "hydra.run.dir=whole"]) == 0
    whole = Path("whole")
    copy = as_killed(whole, Path("killed"), 2)
    assert main([f"resume={copy}"]) == 0
    assert_same_end(copy, whole)
    row = logged(whole)[-1]
    assert row["train/counted"] < row["train/tokens"]
    names = {"val/loss", "longer/loss"} if "data=addition" in data else {"val/loss"}
    assert names <= row.keys()
    if "metrics" in data[-1]:
        assert {
            "val/accuracy",
            "longer/accuracy",
            "val/accuracy/carries/0",
            "longer/exactMatch",
        } <= row.keys()


@pytest.mark.slow
def test_what_was_held_out_stays_so_where_another_run_goes_on_with_the_weights(folder: Path) -> None:
    sums = ["data=modular", "data.p=5", "engine=scalar"]
    assert main([*SMALL, *SOME, *sums, "data.valFraction=0.4", "hydra.run.dir=first"]) == 0
    again = ["data.valFraction=0.2", "data.splitSeed=3", "seed=1", "initFrom=first", "hydra.run.dir=second"]
    assert main([*SMALL[3:], *SOME, *sums, *again]) == 0
    first, second = (logged(Path(name))[-1] for name in ("first", "second"))
    assert "val/originalLoss" in second and "val/originalLoss" not in first
    facts = [json.loads(Path(name, "run.json").read_text())["dataset"] for name in ("first", "second")]
    assert [f["validation"] for f in facts] == [10, 10], "none of them is trained on"
