"""Sweeps of a fraction of a second, and a way to stop one at a chosen step."""

import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptlab.sweeps.record import JobRecord, read_records
from gptlab.training.loop import Rows, Training
from tests.resuming import TINY

QUICK = [
    *(word for word in TINY if not word.startswith("tracking=")),
    "engine=scalar",
    "train.numSteps=20",
    "train.logEvery=1",
    "train.evalEvery=10",
]
SEEDS = ["-m", *QUICK, "seed=1,2,3"]


def sweep_of(folder: Path) -> Path:
    """The folder of the only sweep."""
    (found,) = folder.glob("runs/*/*-sweep")
    return found


def records_of(folder: Path) -> dict[str, JobRecord]:
    """Every job that is over by its name."""
    return {record.name: record for record in read_records(sweep_of(folder))}


def typical(records: dict[str, JobRecord]) -> JobRecord:
    """Of jobs that only their seed sets apart the one that stands for the best setting: the nearest to their mean."""
    scores = {name: record.score for name, record in records.items() if record.score is not None}
    mean = sum(scores.values()) / len(scores)
    return records[min(scores, key=lambda name: abs(scores[name] - mean))]


def at_step(monkeypatch: pytest.MonkeyPatch, job: int, step: int, act: Callable[[], object]) -> None:
    """Have something happen once the `job`-th that trains has taken `step` steps, before it reports them."""
    begun: list[Training] = []
    starts: list[int] = []
    report, rows_of = Training.report, Training.rows_of

    def of_chunk(self: Training, start: int, *rest: Any) -> Rows:
        starts[:] = [start]
        return rows_of(self, start, *rest)

    def reporting(self: Training, rows: Rows) -> float | None:
        if self not in begun:
            begun.append(self)
        if len(begun) == job and starts[0] < step <= self.state.step:
            act()
        return report(self, rows)

    monkeypatch.setattr(Training, "rows_of", of_chunk)
    monkeypatch.setattr(Training, "report", reporting)


def signal_at(
    monkeypatch: pytest.MonkeyPatch, job: int, step: int, number: signal.Signals = signal.SIGINT
) -> None:
    """Have the process signal itself there."""
    at_step(monkeypatch, job, step, lambda: os.kill(os.getpid(), number))


def command_in(said: str) -> list[str]:
    """The arguments of the command that a message tells to go on with."""
    return shlex.split(said.partition("go on with: python -m gptlab ")[2])
