"""The process that launched a sweep, as a job sees it that another one runs: it may ask for the end, or be gone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from signal import SIGINT, SIGTERM

from gptlab.errors import UserError
from gptlab.files import Busy, Lock, lock
from gptlab.signals import Stopped
from gptlab.streams import show
from gptlab.sweeps.sweep import STOP
from gptlab.tracking.orphans import is_gone

POLLING_SECONDS = 0.2  # a file system may be far away
ALIVE_SECONDS = 1.0  # between two looks for the process


class Abandoned(Stopped):
    """Nobody waits for the job any more."""

    def __init__(self) -> None:
        super().__init__(SIGTERM)
        self.args = ("the end of the process that ran the sweep",)


class Launcher:
    """The launching process of the sweep in `root`, by its mark."""

    def __init__(self, root: Path, process: str) -> None:
        self.root = root
        self.process = process
        self._looked = self._seen = 0.0

    @property
    def asks_to_stop(self) -> bool:
        return (self.root / STOP).exists()

    def poll(self) -> None:
        """Raises Stopped once it asks for that, Abandoned once it is gone."""
        now = time.monotonic()
        if now >= self._looked + POLLING_SECONDS:
            self._looked = now
            if self.asks_to_stop:
                raise Stopped(SIGINT)
        if now >= self._seen + ALIVE_SECONDS:
            self._seen = now
            if is_gone(self.process):
                raise Abandoned

    def wait_for(self, folder: Path, name: str) -> Lock:
        """The folder of a job that has begun before, held once whoever may still be at it has ended.

        A worker whose launcher was killed takes a moment to notice. Raises what `poll` raises, and UserError for a
        folder that cannot be opened.
        """
        told = False
        while True:
            try:
                return lock(folder, POLLING_SECONDS)
            except Busy:
                if not told:
                    show(f"{name}: another process is still training it; waiting for it to end")
                told = True
                self.poll()
            except OSError as error:
                raise UserError(f"a run's folder must be readable: {folder}: {error.strerror}.") from None


def leave() -> None:
    """End this process, which a launcher has left behind: it would wait for more jobs for ever."""
    from gptlab.tracking.connection import connections

    connections.close()
    os._exit(128 + SIGTERM)
