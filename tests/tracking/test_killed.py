"""SIGKILL of either process, the one that trains or MLflow's, at random moments of runs and sweeps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

KILLS = 20  # by hand: python -m tests.tracking.killing FOLDER 100


@pytest.mark.slow
def test_after_the_next_command_the_folders_and_mlflow_agree(mlflow_folder: Path) -> None:
    command = [sys.executable, "-m", "tests.tracking.killing", str(mlflow_folder), str(KILLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["wrong"], seen["running"]) == ([], [])
    assert sum(seen["kills"].values()) >= KILLS and len(seen["kills"]) > 1, seen
