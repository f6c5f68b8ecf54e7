"""What a run of a sweep brings with it when it is launched."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT
from typing import Any

from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.run import Run
from gptlab.signals import Stopped

POLLING_SECONDS = 0.2  # a file system may be far away


def nothing() -> None:
    """Never asks to stop."""


@dataclass(frozen=True)
class Member:
    """tags: for MLflow. listeners: by name, beside those of the config. stop: called between chunks of steps;
    what it raises (Stopped, TrainingStopped) ends the run in order. id: the MLflow run to go on with, if any."""

    tags: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[str, Any] = field(default_factory=dict)
    stop: Callable[[], None] = nothing
    id: str = ""


class Seen:
    """A listener that keeps the run, for whoever launched it and may get an error instead."""

    def __init__(self) -> None:
        self.run: Run | None = None

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        self.run = run


class StopFile:
    """Raises Stopped once the file is there: how the process that launched a sweep reaches jobs in other ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 0.0

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + POLLING_SECONDS
            if self.exists:
                raise Stopped(SIGINT)
