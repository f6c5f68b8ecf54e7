"""When a checkpoint is due, and what happens where it cannot be written."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gptlab.runs.checkpoint.folder
import gptlab.runs.saving
from gptlab.cli import main
from gptlab.engines.engine import State
from gptlab.files import OpenFile
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from gptlab.runs.checkpoint.newest import newest_whole
from gptlab.runs.saving import Saver
from gptlab.training.loop import Chunk
from tests.checkpoints import STATE
from tests.resuming import TINY, logged

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
SOME = [
    *TINY,
    "engine=scalar",
    "train.numSteps=9",
    "train.logEvery=1",
    "train.evalEvery=0",
    "hydra.run.dir=run",
]


class Session:
    """Its state is one number."""

    def for_evaluation(self, state: State) -> State:
        return state

    def export(self, state: State) -> State:
        return state


def make_saver(folder: Path, every: int | None, keep: int = 99, **more: Any) -> tuple[Saver, list[float]]:
    """A saver, and a clock to set."""
    run: Any = SimpleNamespace(folder=folder, id="", name="run")
    clock = [0.0]
    facts = {
        key: value for key, value in STATE.items() if key in ("random", "config", "tokenizer", "plugins")
    }
    session: Any = Session()
    saver = Saver(run, session, facts, 1, every, keep, lambda *_: None, {}, clock=lambda: clock[0], **more)
    return saver, clock


def state_at(step: int, value: float = 1.0) -> State:
    return State({"w": np.full(3, value)}, {}, step)


def steps(folder: Path) -> list[int]:
    return [read_checkpoint(path).step for path in checkpoint_folders(folder)]


def test_every_so_many_steps_whatever_the_clock_says(tmp_path: Path) -> None:
    saver, clock = make_saver(tmp_path, every=5)
    for step in (3, 5, 8, 10):
        clock[0] += 1000
        saver.chunk_ended(state_at(step), Chunk())
    assert steps(tmp_path) == [5, 10]


def test_by_time_at_an_evaluation_or_a_little_later_anywhere(tmp_path: Path) -> None:
    saver, clock = make_saver(tmp_path, every=None)
    for step, at, loss in (
        (1, 29.0, 2.0),
        (2, 31.0, None),
        (3, 31.5, 2.0),  # the first evaluation after 30 s
        (4, 61.0, 2.0),
        (5, 91.0, None),
        (6, 92.0, None),  # a minute after the one before
        (7, 93.0, 1.0),
    ):
        clock[0] = at
        saver.chunk_ended(state_at(step), Chunk(loss))
    assert steps(tmp_path) == [3, 6]
    assert [read_checkpoint(f).state["valLoss"] for f in checkpoint_folders(tmp_path)] == [2.0, None]


def test_a_checkpoint_that_takes_long_comes_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver, clock = make_saver(tmp_path, every=None)
    write = gptlab.runs.saving.write_checkpoint

    def slow(*arguments: Any) -> Path:
        clock[0] += 2.0
        return write(*arguments)

    monkeypatch.setattr(gptlab.runs.saving, "write_checkpoint", slow)
    for step, at in ((1, 60.0), (2, 261.0), (3, 262.0)):
        clock[0] = at
        saver.chunk_ended(state_at(step), Chunk(1.0))
    assert steps(tmp_path) == [1, 3]


def test_a_large_model_s_first_one_waits_until_it_is_worth_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver, clock = make_saver(tmp_path, every=None)
    monkeypatch.setattr(gptlab.runs.saving, "WRITING", 20.0)  # of 24 bytes a second: 1.2 s
    for step, at in ((1, 119.0), (2, 121.0)):
        clock[0] = at
        saver.chunk_ended(state_at(step), Chunk(1.0))
    assert steps(tmp_path) == [2]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_not_kept(tmp_path: Path, value: float) -> None:
    saver, _ = make_saver(tmp_path, every=1)
    saver.chunk_ended(state_at(1), Chunk())
    saver.chunk_ended(state_at(2, value), Chunk())
    assert saver.save(state_at(3, value)) is None
    assert steps(tmp_path) == [1]


def test_the_best_outlives_the_newest(tmp_path: Path) -> None:
    saver, _ = make_saver(tmp_path, every=1, keep=2)
    for step, loss in enumerate([3.0, 1.0, 2.0, 2.5, None, None], start=1):
        saver.chunk_ended(state_at(step), Chunk(loss))
    assert steps(tmp_path) == [2, 5, 6]


def test_nothing_is_written_twice_or_before_step_1(tmp_path: Path) -> None:
    saver, _ = make_saver(tmp_path, every=1)
    assert saver.save(state_at(0)) is None
    folder = saver.save(state_at(1))
    assert folder is not None
    before = (folder / "state.json").stat().st_mtime_ns
    assert saver.save(state_at(1)) == folder
    assert (folder / "state.json").stat().st_mtime_ns == before


def fill_disk(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Half of the weights of these steps is written, and then no more."""
    write = gptlab.runs.checkpoint.folder.write_synced

    def write_some(path: Path, content: bytes) -> None:
        if path.name == "weights.safetensors" and int(path.parent.name[6:12]) in steps:
            path.write_bytes(content[: len(content) // 2])
            raise FULL
        write(path, content)

    monkeypatch.setattr(gptlab.runs.checkpoint.folder, "write_synced", write_some)


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while_is_said_and_training_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fill_disk(monkeypatch, {4, 6})
    assert main([*SOME, "checkpoint.every=2", "checkpoint.keep=9"]) == 0
    error = capfd.readouterr().err
    assert error == (
        "gptlab: the checkpoint at step 4 could not be written (No space left on device). The newest whole one "
        "is run/checkpoints/step-000002. Training goes on.\n"
    )
    assert steps(Path("run")) == [2, 8, 9]
    assert len(logged(Path("run"))) == 9
    assert not list(folder.rglob("*.part"))


@pytest.mark.slow
def test_a_disk_that_is_full_at_the_end_is_a_failed_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fill_disk(monkeypatch, {9})
    assert main([*SOME, "checkpoint.every=4"]) == 1
    error = capfd.readouterr().err
    assert error == (
        "gptlab: the checkpoint at step 9 could not be written (No space left on device). The newest whole one "
        "is run/checkpoints/step-000008. Make room, then go on from there: python -m gptlab resume=run\n"
    )
    assert newest_whole(Path("run")).step == 8
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert main(["resume=run"]) == 0
    assert len(logged(Path("run"))) == 9


@pytest.mark.slow
def test_a_disk_that_is_full_for_metrics_loses_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    append, failed = OpenFile.append, []

    def fail_at_first(file: OpenFile, content: bytes) -> None:
        if b'"step": 3,' in content and len(failed) < 3:
            failed.append(content)
            raise FULL
        append(file, content)

    monkeypatch.setattr(OpenFile, "append", fail_at_first)
    assert main(SOME) == 0
    assert [row["step"] for row in logged(Path("run"))] == list(range(1, 10))
    error = capfd.readouterr().err
    assert error.startswith("gptlab: run/metrics.jsonl could not be written (No space left on device)")
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_FSIZE")
def test_a_true_limit_to_what_is_written(folder: Path) -> None:
    """No file may have more than 4 KiB: enough for metrics and state, too little for the weights."""
    # Set by the command itself: a function between fork and exec is what jax, where it is loaded, warns of.
    limited = (
        "import resource, runpy; hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard)); runpy.run_module('gptlab', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *SOME, "model.nEmbd=16", "checkpoint.every=4"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    said = done.stderr.splitlines()
    assert done.returncode == 1
    assert said == [
        "gptlab: the checkpoint at step 4 could not be written (File too large). There is no earlier one. "
        "Training goes on.",
        "gptlab: the checkpoint at step 9 could not be written (File too large). There is no earlier one. "
        "Make room, then train it again.",
    ]
    assert os.listdir("run/checkpoints") == []
