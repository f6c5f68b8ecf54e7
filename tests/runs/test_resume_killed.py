"""SIGKILL at random moments: a run always goes on from a whole checkpoint, and ends as if nothing had been."""

from pathlib import Path

import pytest

from tests.processes import run_program
from tests.resuming import assert_same_end, result

KILLS = 24


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_never_was(tmp_path: Path) -> None:
    seen = run_program("tests.runs.killing", tmp_path, KILLS, timeout=600)
    assert len(seen["kills"]) >= KILLS
    assert len(set(seen["kills"])) > 5, "they came at different steps"
    assert set(seen["finished"]) == {150}
    whole = tmp_path / "whole"
    assert result(whole)["step"] == b"step-000150"
    for run in sorted(tmp_path.glob("run-*")):
        assert_same_end(run, whole)
        assert not list(run.rglob("*.part"))
