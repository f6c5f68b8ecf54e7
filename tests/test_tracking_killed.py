"""SIGKILL of either process, the one that trains or MLflow's, at random moments of runs and sweeps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 20  # by hand: python -m tests.killing_tracked FOLDER 100


@pytest.mark.slow
def test_after_the_next_command_the_folders_and_mlflow_agree(mlflow_folder: Path) -> None:
    command = [sys.executable, "-m", "tests.killing_tracked", str(mlflow_folder), str(KILLS)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["wrong"], seen["running"]) == ([], [])
    assert sum(seen["kills"].values()) >= KILLS and len(seen["kills"]) > 1, seen
