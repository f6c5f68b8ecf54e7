"""A tracking server that answers anything, at any request: no traceback, no hang, and in the end nothing is missing."""

import os
from pathlib import Path

import pytest

from tests.processes import run_program

# All of them by hand: python -m tests.tracking.answers FOLDER 50 4
CASES = int(os.environ.get("GPTLAB_SERVER_CASES", "8"))


@pytest.mark.slow
def test_whatever_a_server_answers_sync_brings_all_once_it_is_true_again(mlflow_folder: Path) -> None:
    seen = run_program("tests.tracking.answers", mlflow_folder, CASES, 4, timeout=120 * CASES)
    assert (seen["wrong"], seen["lost"]) == ({}, [])
    assert sum(seen["ends"].values()) == CASES
