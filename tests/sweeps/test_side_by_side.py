"""Jobs that go on side by side in one process: the same runs, records and ends as one after another."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.command.composing import compose, compose_job, prepared
from gptlab.command.line import read_command_line
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.launch import provenance
from gptlab.runs.files import HYDRAS
from gptlab.sweeps import plan
from gptlab.sweeps.launcher import POLLING_SECONDS
from gptlab.sweeps.sweep import STOP, read_sweep
from gptlab.training.loop import Training
from tests.resuming import TINY, assert_same_end, write_corpus
from tests.sweeping import at_step, command_in, records_of, sweep_of

SWEEP = ["-m", *TINY, "engine=xla", "train.numSteps=20", "train.logEvery=1", "train.evalEvery=10"]
SEEDS = [*SWEEP, "seed=1,2,3"]


def threads_of_trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filled with the names of the threads that train; the first two trainings wait for each other to begin."""
    names: list[str] = []
    both = threading.Barrier(2)
    run = Training.run

    def watched(self: Training) -> Any:
        names.append(threading.current_thread().name)
        if len(names) <= 2:
            both.wait(60)
        return run(self)

    monkeypatch.setattr(Training, "run", watched)
    return names


@pytest.mark.slow
def test_two_at_a_time_leave_what_one_after_another_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, folder = tmp_path / "one", tmp_path / "two"
    for place in (one, folder):
        place.mkdir()
        write_corpus(place)
    monkeypatch.chdir(one)
    assert main([*SEEDS, "sweep.jobs=1", "progress=auto"]) == 0
    capsys.readouterr()
    monkeypatch.chdir(folder)
    names = threads_of_trainings(monkeypatch)
    monkeypatch.setattr(plan, "cores", lambda: 2)  # by which it is so unasked
    asked: list[str] = []
    monkeypatch.setattr(provenance, "git_commit", lambda: asked.append("git") or "c0ffee")
    assert main([*SEEDS, "progress=auto"]) == 0
    assert len(asked) == 1, "git, once a sweep"
    assert (sweep_of(folder) / HYDRAS).is_file(), "as of any sweep of Hydra's"
    assert len(names) == 3 and len(set(names)) == 2 and threading.main_thread().name not in names
    out = capsys.readouterr().out
    assert "3 finished" in out and all(f"seed={seed}" in out for seed in (1, 2, 3))
    assert read_sweep(sweep_of(folder)).status == "FINISHED"
    found, expected = records_of(folder), records_of(one)
    assert found.keys() == expected.keys()
    for name, record in found.items():
        theirs = expected[name]
        assert replace(record, seconds=0.0) == replace(theirs, seconds=0.0)
        assert_same_end(sweep_of(folder) / record.folder, sweep_of(one) / theirs.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ([], 3),
        (["engine=scalar"], 1),
        (["initFrom=latest"], 1),
        (["model.blockSize=4000", "model.nEmbd=4096"], 1),
    ],
    ids=str,
)
def test_what_goes_side_by_side_unasked(
    folder: Path, config: list[str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "cores", lambda: 3)
    line = read_command_line([*SWEEP, "seed=1,2", *config], "train")
    plugins = prepared(line)
    checked = typed(Config, plain(compose("train", [*SWEEP[1:], *config])))
    small = plan.is_small(checked, plugins)
    facts = plan.facts_of(compose_job(line.flags, [*SWEEP[1:], *config]).hydra)
    assert plan.at_once(checked, facts, plan.one_a_core() if small else 1) == expected


@pytest.mark.slow
def test_of_jobs_of_which_one_cannot_be_composed_none_begins(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "cores", lambda: 2)
    assert main([*SWEEP, "seed=1,2,x"]) == 2
    assert "seed" in capfd.readouterr().err
    assert not list(folder.glob("runs/*/*"))


@pytest.mark.slow
def test_one_that_fails_does_so_by_itself(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "train.learningRate=0.01,1e30,0.02", "sweep.jobs=2"]) == 1
    assert sorted(record.status for record in records_of(folder).values()) == [
        "FAILED",
        "FINISHED",
        "FINISHED",
    ]
    assert "learningRate=1e+30: " in capfd.readouterr().err


@pytest.mark.slow
def test_ones_that_are_stopped_go_on_by_the_command_that_is_told(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not (sweep_of(folder) / STOP).exists():
            time.sleep(0.01)
        time.sleep(1.1 * POLLING_SECONDS)

    with monkeypatch.context() as patch:
        at_step(patch, job=2, step=7, act=stop)
        assert main([*SEEDS, "sweep.jobs=2"]) == 130
    error = capfd.readouterr().err
    assert read_sweep(sweep_of(folder)).status == "KILLED"
    begun = records_of(folder)
    assert "KILLED" in {record.status for record in begun.values()}
    assert main(command_in(error)) == 0
    assert {record.status for record in records_of(folder).values()} == {"FINISHED"}
    assert set(records_of(folder)) == {"seed=1", "seed=2", "seed=3"}
    assert all(record.steps == 20 for record in records_of(folder).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["sweep.jobs=0"], "sweep.jobs must be at least 1: got 0"),
        (["sweep.jobs=2", "+sweep=joblib"], "Try hydra.launcher.n_jobs=2"),
        (["sweep.jobs=2", "+sweep=optuna"], "Try hydra.sweeper.n_jobs=2"),
    ],
)
def test_how_many_is_for_jobs_of_this_process(
    folder: Path, overrides: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*SEEDS, *overrides]) == 2
    assert said in capfd.readouterr().err
    assert not list(folder.glob("runs/*/*"))
