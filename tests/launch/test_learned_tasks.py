"""Small models learn tasks with right answers, and none gets below the floor."""

import json
from pathlib import Path

import pytest

from gptlab.cli import main

MODEL = ["model.nLayer=2", "model.nEmbd=16", "train.batchSize=32", "train.learningRate=0.01"]
QUIET = ["tracking=none", "progress=none", "samples.n=0", "train.evalEvery=0", "hydra.run.dir=run"]


def trained(*overrides: str) -> tuple[dict[str, float], dict[str, float]]:
    """The last row of a run, and the facts of its data."""
    assert main([*overrides, *MODEL, *QUIET]) == 0
    last = Path("run/metrics.jsonl").read_text("utf-8").splitlines()[-1]
    return json.loads(last), json.loads(Path("run/run.json").read_text("utf-8"))["dataset"]["facts"]


@pytest.mark.slow
def test_chains_are_learned_in_context_down_to_the_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    row, facts = trained("data=markov", "data.states=2", "train.numSteps=600")
    floor, unigram = facts["baseline/floor"], facts["baseline/unigram"]
    assert floor < unigram - 0.03
    assert floor - 0.003 < row["val/loss"] < floor + 0.012


@pytest.mark.slow
def test_the_bracket_that_closes_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row, _ = trained("data=dyck", "data.kinds=2", "data.depth=3", "train.numSteps=300")
    assert row["val/accuracy"] > 0.97
    assert 0 < row["val/loss"] < 0.1
