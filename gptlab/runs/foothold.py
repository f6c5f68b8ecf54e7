"""A run's folder while it is trained, known by what it is and not by its name: it may be moved, removed or replaced."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from gptlab.calling import shown
from gptlab.errors import UserError
from gptlab.files import Busy, Lock, lock, write_text
from gptlab.runs.claiming import check_free_for_run
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.runs.folder import RunFolder
from gptlab.runs.recording import metrics_text, samples_text
from gptlab.runs.run import RUNNING, Run


class Foothold:
    """The folder that has this name now. While it is open no other one is taken for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: dict[str, Any] = {}
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stat = os.fstat(self._descriptor)
        self._lock: Lock | None = None

    def __enter__(self) -> Foothold:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)
        if self._lock is not None:
            self._lock.release()

    def note(self) -> None:
        """Remember what run.json tells, for it to be told again."""
        self.told = RunFolder(self.folder).identity()

    def is_at(self, place: Path) -> bool:
        try:
            return os.path.samestat(self._stat, os.stat(place))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a disk that does not answer at the moment
            return True

    def is_there(self) -> bool:
        return self.is_at(self.folder)

    def check(self) -> None:
        """Polled between steps. Raises UserError if the folder has its name no more."""
        if not self.is_there():
            moved = self.moved_to()
            what = "removed" if moved is None else f"moved to {shown(moved)}"
            raise UserError(
                f"a run's folder must stay where it is while it is trained: {shown(self.folder)} was {what}."
            )

    def moved_to(self) -> Path | None:
        """Where it is now; None if it is nowhere, or if the system does not tell."""
        with suppress(OSError, ImportError, AttributeError):
            if os.path.isdir("/proc/self/fd"):
                found = os.readlink(f"/proc/self/fd/{self._descriptor}")
            else:  # macOS
                import fcntl

                told: bytes = fcntl.fcntl(self._descriptor, fcntl.F_GETPATH, bytes(1024))  # type: ignore[attr-defined]
                found = os.fsdecode(told.rstrip(b"\0"))
            return Path(found) if self.is_at(Path(found)) else None
        return None

    def put_back(self, run: Run, tokenizer: dict[str, Any], brought: dict[str, str]) -> None:
        """Have a run that has lost its folder one again: where it was moved to, or a new one of what is in memory.

        That are its numbers, its samples and what it is of, and no earlier checkpoint. Where another has taken its
        name, it lies beside that. Raises OSError and UserError if it cannot be written.
        """
        if self.is_there() or not run.metrics:
            return
        moved = self.moved_to()
        if moved is None:
            self._make_anew(run, tokenizer, brought)
        else:
            run.folder = moved
        write_text(run.folder / METRICS, metrics_text(run))
        if run.samples:
            write_text(run.folder / SAMPLES, samples_text(run))

    def _make_anew(self, run: Run, tokenizer: dict[str, Any], brought: dict[str, str]) -> None:
        run.folder = unused(self.folder)
        run.folder.mkdir(parents=True, exist_ok=True)
        with suppress(Busy):
            self._lock = lock(run.folder, 0.0)
        folder = RunFolder(run.folder)
        folder.begin(run, tokenizer, brought)
        folder.update(**{**self.told, "id": run.id, "status": RUNNING})


def unused(folder: Path) -> Path:
    """The folder, or one beside it, that is free for a run."""
    for number in count(1):
        place = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        with suppress(UserError):
            if not os.path.lexists(place) or place.is_dir():
                check_free_for_run(place)
                return place
    raise AssertionError("count ends")
