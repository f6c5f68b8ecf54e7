"""Equal runs are trained once, and what they show is told each time."""

from pathlib import Path

import pytest

from gptlab.cli import main
from tests.resuming import TINY

QUESTION = ["ablate", *TINY, "engine=scalar", "train.numSteps=2", "arms=[model/norm=none]", "seeds=2"]


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_an_ablation_whose_runs_are_all_there_tells_what_it_found(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(QUESTION) == 0
    first = capfd.readouterr().out
    assert main([*QUESTION, "epsilon=0.02"]) == 0
    again = capfd.readouterr().out
    assert "norm=none cannot be told from the baseline yet" in first
    assert "norm=none cannot be told from the baseline yet" in again
    assert "compiled" not in again
    reports = list(Path("runs").glob("**/ablation.json"))
    assert len(reports) == 2
    assert len(list(Path("runs").glob("**/run.json"))) == 4
