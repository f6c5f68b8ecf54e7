"""SIGKILL of either process, the one that trains or MLflow's, at random moments of runs and sweeps."""

from pathlib import Path

import pytest

from tests.processes import run_program

KILLS = 20  # by hand: python -m tests.tracking.killing FOLDER 100


@pytest.mark.slow
def test_after_the_next_command_the_folders_and_mlflow_agree(mlflow_folder: Path) -> None:
    seen = run_program("tests.tracking.killing", mlflow_folder, KILLS, timeout=1200)
    assert (seen["wrong"], seen["running"]) == ([], [])
    assert sum(seen["kills"].values()) >= KILLS and len(seen["kills"]) > 1, seen
