"""engine.together: jobs of a sweep whose steps are taken in one call, and none that waits for what never comes."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from gptlab.cli import main
from gptlab.engines.xla_together import Taken, TogetherSession, Wanted
from gptlab.sweeps.launcher import POLLING_SECONDS
from gptlab.sweeps.sweep import STOP, read_sweep
from gptlab.training.loop import Rows, Training
from tests.resuming import TINY, assert_same_end, logged, write_corpus
from tests.sweeping import command_in, records_of, sweep_of

SWEEP = ["-m", *TINY, "engine=xla", "engine.dtype=float64", "train.logEvery=1", "train.evalEvery=10"]
SWEEP += ["samples.n=0", "train.numSteps=20"]
THREE = [*SWEEP, "engine.together=3"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with how many jobs each call has trained."""
    found: list[int] = []
    train_all = TogetherSession.train_all

    def watched(self: TogetherSession, wanted: Sequence[Wanted]) -> list[Taken]:
        found.append(len(wanted))
        return train_all(self, wanted)

    monkeypatch.setattr(TogetherSession, "train_all", watched)
    return found


def once_at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Have the first job that has taken so many steps do something before it reports them."""
    acted, report = threading.Lock(), Training.report

    def reporting(self: Training, rows: Rows) -> float | None:
        if self.state.step >= step and acted.acquire(blocking=False):
            act()
        return report(self, rows)

    monkeypatch.setattr(Training, "report", reporting)


def assert_learnt_alike(one: Path, other: Path) -> None:
    """The same jobs in two sweeps' folders, to the digits that a sum in another order leaves."""
    found, expected = records_of(one), records_of(other)
    assert found.keys() == expected.keys()
    for name, record in found.items():
        theirs = logged(sweep_of(other) / expected[name].folder)
        for row, same in zip(logged(sweep_of(one) / record.folder), theirs, strict=True):
            assert row.keys() == same.keys()
            np.testing.assert_allclose([*row.values()], [*same.values()], rtol=1e-10, err_msg=name)


@pytest.mark.slow
def test_seven_jobs_in_calls_of_three_learn_what_each_learns_alone(
    tmp_path: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = ["seed=range(1,8)", "optimizer.beta1=0.8"]
    for name, overrides in (("alone", SWEEP), ("together", THREE)):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        assert main([*overrides, *swept]) == 0
    assert_learnt_alike(tmp_path / "together", tmp_path / "alone")
    assert set(calls) == {3, 1} and calls == sorted(calls, reverse=True), (
        "three, three, and the one that is left"
    )


@pytest.mark.slow
def test_what_differs_in_shape_or_steps_is_not_waited_for(folder: Path, calls: list[int]) -> None:
    assert main([*THREE, "model.nEmbd=4,6", "train.numSteps=7,20", "sweep.jobs=4"]) == 0
    assert sorted(record.steps for record in records_of(folder).values()) == [7, 7, 20, 20]
    assert max(calls) == 2 and min(calls) == 1


@pytest.mark.slow
def test_one_that_fails_leaves_the_others_to_go_on(
    folder: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("a fault")

    once_at_step(monkeypatch, 7, fail)
    assert main([*THREE, "seed=1,2", "train.learningRate=0.01,1e300"]) == 1
    ends = sorted((record.status, record.reason) for record in records_of(folder).values())
    assert [status for status, _ in ends].count("FINISHED") >= 1
    assert "RuntimeError: a fault" in {reason for _, reason in ends}
    assert any("became" in reason for _, reason in ends)
    assert max(calls) == 3


@pytest.mark.slow
def test_a_call_that_fails_fails_for_all_who_are_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: TogetherSession, wanted: Sequence[Wanted]) -> list[Taken]:
        raise RuntimeError("no memory is left")

    monkeypatch.setattr(TogetherSession, "train_all", fail)
    assert main([*THREE, "seed=1,2,3,4"]) == 1
    ends = {(record.status, record.reason) for record in records_of(folder).values()}
    assert ends == {("FAILED", "RuntimeError: no memory is left")}


@pytest.mark.slow
def test_ones_that_are_stopped_go_on_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while not (sweep_of(tmp_path / "stopped") / STOP).exists():
            time.sleep(0.01)
        time.sleep(1.1 * POLLING_SECONDS)

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name)
    float32 = [text for text in THREE if "dtype" not in text]
    monkeypatch.chdir(tmp_path / "whole")
    assert main([*float32, "seed=1,2,3"]) == 0
    monkeypatch.chdir(tmp_path / "stopped")
    capfd.readouterr()
    with monkeypatch.context() as patch:
        once_at_step(patch, 7, stop)
        assert main([*float32, "seed=1,2,3"]) == 130
    assert read_sweep(sweep_of(tmp_path / "stopped")).status == "KILLED"
    assert main(command_in(capfd.readouterr().err)) == 0
    found, expected = records_of(tmp_path / "stopped"), records_of(tmp_path / "whole")
    assert {record.status for record in found.values()} == {"FINISHED"}
    for name, record in found.items():
        assert_same_end(
            sweep_of(tmp_path / "stopped") / record.folder,
            sweep_of(tmp_path / "whole") / expected[name].folder,
        )


@pytest.mark.slow
def test_less_than_one_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*SWEEP, "seed=1,2", "engine.together=0"]) == 2
    assert "engine.together must be at least 1: got 0" in capfd.readouterr().err
    assert not list(folder.glob("runs/*/*"))


@pytest.mark.slow
def test_a_run_by_itself_is_as_ever(folder: Path, calls: list[int]) -> None:
    alone = [text for text in THREE if text != "-m"]
    assert main(alone) == 0
    assert calls == []
