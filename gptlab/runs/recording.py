"""Listeners that keep a run's files up to date: its numbers, its samples, and how it is."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptlab.calling import warn
from gptlab.files import append_whole
from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.runs.folder import RunFolder, facts_of
from gptlab.runs.run import RUNNING, Run, end_of
from gptlab.training.metric_rows import line_of


class FolderListener:
    """Keeps metrics.jsonl and samples.txt in the run's folder, a line as soon as it is known."""

    def __init__(self) -> None:
        self._samples_written = 0
        self._metrics = GrowingFile(METRICS)
        self._samples = GrowingFile(SAMPLES)

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        self._samples_written = len(run.samples)  # a resumed run has some already

    @hookimpl
    def gptlab_step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        self._metrics.append(run.folder, line_of(step, metrics))
        new = run.samples[self._samples_written :]
        self._samples_written += len(new)
        self._samples.append(
            run.folder, "".join(f"step {at}: {text}\n" for at, texts in new for text in texts)
        )


class GrowingFile:
    """A file that grows by whole texts: one that could not be written, for a full disk, waits for the next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._waiting = b""
        self._failed = False

    def append(self, folder: Path, text: str) -> None:
        """Raises OSError if there is no such folder; what else goes wrong is said, once, and tried again."""
        self._waiting += text.encode("utf-8")
        if not self._waiting:
            return
        try:
            append_whole(folder / self.name, self._waiting)
        except FileNotFoundError:
            raise
        except OSError as error:
            if not self._failed:
                message = f"{os.path.relpath(folder / self.name)} could not be written ({error.strerror})"
                warn(f"{message}; tried again with each line.")
            self._failed = True
        else:
            self._waiting, self._failed = b"", False


class IdentityListener:
    """Has run.json tell how the run is: RUNNING from step 1 on, then its end. A new one's facts are there by then.

    Comes before the tracker: what the folder tells is what MLflow is told.
    """

    def __init__(self) -> None:
        self._status = ""

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        if run.resumed_from is not None:
            self._write(run, RUNNING, id=run.id, reason="", ended=None, diverged="", **facts_of(run))

    @hookimpl
    def gptlab_step_ended(self, run: Run) -> None:
        self._write(run, RUNNING)

    @hookimpl
    def gptlab_run_ended(self, run: Run, error: BaseException | None) -> None:
        if run.metrics:
            status, reason = end_of(error)
            diverged = {"diverged": run.diverged} if run.diverged else {}
            self._write(run, status, reason=reason, ended=int(time.time() * 1000), **diverged)

    def _write(self, run: Run, status: str, **facts: Any) -> None:
        if status != self._status:
            with suppress(OSError):  # a full disk; what it says of the metrics is enough
                RunFolder(run.folder).update(status=status, **facts)
                self._status = status
