"""benchmarks.sweep: what a sweep leaves to MLflow's process is waited for, and no part of the next one's time."""

import pytest

from benchmarks import commands, sweep
from gptlab.files import write_json


def test_settled_is_a_folder_whose_runs_and_sweeps_mlflow_has(tmp_path, monkeypatch):
    class Slept(Exception):
        pass

    def sleep(seconds: float) -> None:
        raise Slept

    monkeypatch.setattr(commands.time, "sleep", sleep)
    run, whole = tmp_path / "runs/day/sweep/0/run.json", tmp_path / "runs/day/sweep/sweep.json"
    run.parent.mkdir(parents=True)
    for synced in ({}, {"synced": True}):  # without MLflow nothing is told of it
        write_json(run, synced)
        write_json(whole, synced)
        commands.settle(str(tmp_path))
    for file in (run, whole):
        write_json(file, {"synced": False})
        with pytest.raises(Slept):
            commands.settle(str(tmp_path))
        write_json(file, {"synced": True})


@pytest.mark.slow
def test_a_sweep_is_timed_until_the_prompt_and_until_mlflow_has_all(monkeypatch):
    for name in ("GPTLAB_WAIT", "CI"):  # a user's prompt waits for neither
        monkeypatch.delenv(name, raising=False)
    timed = sweep.timed(sweep.command(4, 20))
    assert (timed.runs, timed.failed) == (4, 0)
    assert timed.training > 0 and 0 < timed.seconds < timed.sent
