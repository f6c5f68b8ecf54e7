"""Listeners that keep a run's files up to date: its numbers, its samples, and how it is."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from gptlab.files import append_whole, write_json
from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.files import METRICS, RUN, SAMPLES
from gptlab.runs.run import RUNNING, Run, status_of
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
                print(f"gptlab: {message}; tried again with each line.", file=sys.stderr, flush=True)
            self._failed = True
        else:
            self._waiting, self._failed = b"", False


class IdentityListener:
    """Keeps run.json: the run's name, its MLflow id, and from step 1 on how it is: RUNNING until it has ended.

    Comes after the tracker, which sets the id: what is FINISHED here has been told to MLflow as well.
    """

    def __init__(self) -> None:
        self._written: dict[str, str] | None = None

    @hookimpl
    def gptlab_step_ended(self, run: Run) -> None:
        self._keep(run, RUNNING)

    @hookimpl
    def gptlab_run_ended(self, run: Run, error: BaseException | None) -> None:
        if run.metrics:
            self._keep(run, status_of(error))

    def _keep(self, run: Run, status: str) -> None:
        identity = identity_of(run, status)
        if identity != self._written:
            with suppress(OSError):  # a full disk; what it says of the metrics is enough
                write_json(run.folder / RUN, identity)
                self._written = identity


def identity_of(run: Run, status: str) -> dict[str, str]:
    """What run.json holds."""
    diverged = {"diverged": run.diverged} if run.diverged else {}
    return {"id": run.id, "name": run.name, "status": status, **diverged}
