"""Listeners that keep a run's files up to date: its numbers, its samples, and how it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptlab.calling import warn
from gptlab.errors import UserError
from gptlab.files import OpenFile, append_whole, write_text
from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.runs.folder import RunFolder, Samples, facts_of
from gptlab.runs.run import RUNNING, Run, end_of
from gptlab.training.metric_rows import Metrics, line_of


class FolderListener:
    """Keeps metrics.jsonl and samples.txt in the run's folder, a line as soon as it is known.

    In that folder, and in no other one that has its name by then: whoever polls for it tells that.
    """

    def __init__(self) -> None:
        self._samples_written = 0
        self._metrics = GrowingFile(METRICS)
        self._samples = GrowingFile(SAMPLES)

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        self._samples_written = len(run.samples)  # a resumed run has some already
        self._folder = os.stat(run.folder)

    @hookimpl
    def gptlab_step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        if self._is_there(run.folder):
            self._metrics.append(run.folder, line_of(step, metrics), lambda: metrics_text(run))
            new = run.samples[self._samples_written :]
            self._samples_written += len(new)
            self._samples.append(run.folder, lines_of_samples(new), lambda: samples_text(run))

    @hookimpl
    def gptlab_run_ended(self) -> None:
        self._metrics.close()
        self._samples.close()

    def _is_there(self, folder: Path) -> bool:
        """Whether what has this name is the folder that the run began in."""
        try:
            return os.path.samestat(self._folder, os.stat(folder))
        except (FileNotFoundError, NotADirectoryError):
            return False


def metrics_text(run: Run) -> str:
    """metrics.jsonl as it is to be by now."""
    return "".join(line_of(step, row) for step, row in run.metrics)


def samples_text(run: Run) -> str:
    """samples.txt as it is to be by now."""
    return lines_of_samples(run.samples)


def lines_of_samples(samples: Samples) -> str:
    return "".join(f"step {at}: {text}\n" for at, texts in samples for text in texts)


def keep_rows(run: Run, end: int, rows: Metrics, step: int) -> None:
    """Have run and folder hold the rows of the newest chunk of steps, also where a second signal cut off the telling.

    end: where the chunk ends; step: how far the run is. Raises OSError if they cannot be written, and ValueError if the
    rows of the last steps are not known.
    """
    if end != step:
        raise ValueError("the losses of the last steps are not known")
    told = {at for at, _ in run.metrics[-len(rows) :]}
    run.metrics += [(at, row) for at, row in rows if at not in told]
    path = run.folder / METRICS
    known = RunFolder(run.folder).rows()[-1:]
    lacking = "".join(line_of(at, row) for at, row in run.metrics if not known or at > known[0][0])
    if lacking:
        with suppress(FileNotFoundError):
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # what is left of a line that was cut off
        append_whole(path, lacking.encode("utf-8"))


class GrowingFile:
    """A file that grows by whole texts: one that could not be written, for a full disk, waits for the next.

    It stays open from one text to the next, as long as it has its name: three system calls a row instead of nine,
    between which another job of a sweep takes its turn.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._waiting = b""
        self._failed = False
        self._size = 0  # that it must have at least: nobody else is to make it shorter
        self._file: OpenFile | None = None

    def append(self, folder: Path, text: str, whole: Callable[[], str]) -> None:
        """What goes wrong is said, once, and tried again.

        whole: all that the file is to hold, for one that was removed or cut meanwhile.
        """
        self._waiting += text.encode("utf-8")
        if not self._waiting:
            return
        path = folder / self.name
        try:
            size = None if self._file is None else self._file.size_at(path)
            if size is None:
                self.close()
                size = size_of(path)
            if size < self._size:
                self.close()
                write_text(path, whole())
                warn(f"{os.path.relpath(path)} was removed or truncated during the run: it is written again.")
                self._size = size_of(path)
            else:
                self._file = self._file or OpenFile(path)
                self._file.append(self._waiting)
                self._size = size + len(self._waiting)
        except OSError as error:
            if not self._failed:
                message = f"{os.path.relpath(path)} could not be written ({error.strerror})"
                warn(f"{message}; gptlab tries again with each line.")
            self._failed = True
        else:
            self._waiting, self._failed = b"", False

    def close(self) -> None:
        """Let go of it; the next text opens it again."""
        if self._file is not None:
            self._file.close()
        self._file = None


def size_of(path: Path) -> int:
    """In bytes; 0 for what is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class IdentityListener:
    """Has run.json tell how the run is: RUNNING from step 1 on, then its end. A new one's facts are there by then.

    Comes before the tracker: what the folder tells is what MLflow is told.
    """

    def __init__(self) -> None:
        self._status = ""
        self._stepped = False
        self._before: dict[str, Any] = {}  # what it told of a run that is resumed

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        if run.resumed_from is not None:
            self._before = RunFolder(run.folder).identity()
            self._write(
                run, RUNNING, id=run.id, reason="", ended=None, diverged="", stopped="", **facts_of(run)
            )

    @hookimpl
    def gptlab_step_ended(self, run: Run) -> None:
        self._stepped = True
        self._write(run, RUNNING)

    @hookimpl
    def gptlab_run_ended(self, run: Run, error: BaseException | None) -> None:
        if isinstance(error, UserError) and self._before and not self._stepped:
            with suppress(OSError):
                RunFolder(run.folder).update(**self._before)  # it was not gone on with
        elif run.metrics:
            status, reason = end_of(error)
            told = {"diverged": run.diverged, "stopped": run.stopped if error is None else ""}
            more = {key: value for key, value in told.items() if value}
            self._write(run, status, reason=reason, ended=int(time.time() * 1000), **more)

    def _write(self, run: Run, status: str, **facts: Any) -> None:
        if status != self._status:
            with suppress(OSError):  # a full disk; what it says of the metrics is enough
                RunFolder(run.folder).update(status=status, **facts)
                self._status = status
