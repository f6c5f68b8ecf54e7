"""A second Ctrl-C, and a third, wherever they come: no row is lost that a checkpoint has behind it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptlab import signals
from gptlab.cli import main
from gptlab.files import OpenFile
from gptlab.launch import launch, observers, reports
from gptlab.runs import saving
from gptlab.runs.checkpoint.folder import checkpoint_folders
from gptlab.runs.folder import RunFolder
from gptlab.training.loop import Training
from gptlab.training.smoothing import SmoothedLoss
from tests.resuming import TINY, logged, result

STEPS = 40
COMMAND = [*TINY, "engine=scalar", f"train.numSteps={STEPS}", "train.logEvery=1", "train.evalEvery=9"]
COMMAND += ["checkpoint.every=16"]


def press(times: int, number: signal.Signals = signal.SIGINT) -> None:
    """As often as this, within what is going on: the second one ends it there."""
    for _ in range(times):
        os.kill(os.getpid(), number)


def at_call(
    count: int, function: Callable[..., Any], before: Callable[..., None], after: bool = False
) -> Any:
    """The function, of which the call of that number is interrupted: before it does anything, or once it has."""
    calls = iter(range(1, 10**6))

    def call(*arguments: Any, **more: Any) -> Any:
        mine = next(calls) == count
        if mine and not after:
            before(*arguments)
        found = function(*arguments, **more)
        if mine and after:
            before(*arguments)
        return found

    return call


def torn(file: OpenFile, content: bytes) -> None:
    """Half of what was to be written."""
    os.write(file.descriptor, content[: len(content) // 2])
    press(2)


# Where it comes: what is patched, the number of the call, what happens there, before or after the call.
PLACES: dict[str, tuple[Any, str, int, Callable[..., None], bool]] = {
    "before an evaluation": (Training, "evaluate", 2, lambda *_: press(2), False),
    "after an evaluation": (Training, "evaluate", 2, lambda *_: press(2), True),
    "at the last evaluation": (Training, "evaluate", 5, lambda *_: press(2), False),
    "in samples": (observers, "generate", 2, lambda *_: press(2), False),
    "in what is printed": (reports, "milestone", 2, lambda *_: press(2), False),
    "before a row is written": (OpenFile, "append", 12, lambda *_: press(2), False),
    "in the middle of a row": (OpenFile, "append", 12, torn, False),
    "after a row is written": (OpenFile, "append", 12, lambda *_: press(2), True),
    "before the rows are known": (SmoothedLoss, "add", 4, lambda *_: press(2), False),
    "before a checkpoint": (saving, "write_checkpoint", 1, lambda *_: press(2), False),
    "after a checkpoint": (saving, "write_checkpoint", 1, lambda *_: press(2), True),
    "before the last checkpoint": (saving, "write_checkpoint", 3, lambda *_: press(2), False),
}


@pytest.fixture
def each_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal in the same moment is another one."""
    monkeypatch.setattr(signals, "SOON", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "third"),
    [
        *((place, False) for place in PLACES),
        *((place, True) for place in ("after an evaluation", "in the middle of a row")),
    ],
)
def test_a_checkpoint_has_its_rows_and_a_resumed_run_all_of_them(
    folder: Path,
    each_counts: None,
    place: str,
    third: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    owner, name, count, happens, after = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, at_call(count, getattr(owner, name), happens, after))
        if third:
            patch.setattr(launch, "keep_rows", at_call(1, launch.keep_rows, lambda *_: press(1)))
        assert main([*COMMAND, "hydra.run.dir=run"]) == 130
    error = capfd.readouterr().err
    assert error.startswith("gptlab: stopped by Ctrl-C") and error.count("\n") == 1, error
    kept = checkpoint_folders(Path("run"))
    step = int(kept[-1].name.removeprefix("step-")) if kept else 0
    steps = [at for at, _ in RunFolder(Path("run")).rows() if at <= step]
    assert steps == list(range(1, step + 1))
    if not kept:
        return
    assert main(["resume=run", "progress=none"]) == 0
    assert main([*COMMAND, "hydra.run.dir=whole"]) == 0
    assert result(Path("run")) == result(Path("whole"))
    for row, whole in zip(logged(Path("run")), logged(Path("whole")), strict=True):
        assert row.items() <= whole.items(), "what was not evaluated then is not known"
        assert row.keys() >= whole.keys() - {"val/loss", "val/perplexity"}
