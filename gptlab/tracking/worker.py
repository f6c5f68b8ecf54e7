"""The process that talks to MLflow: reads messages from its input, one JSON object a line.

Importing MLflow takes seconds of pure Python. In a thread it would take them from the training
process, whose Python runs one thread at a time (measured: 3-4 s a run); here it has its own core.
It outlives its parent by one flush, so that a run whose process is killed is closed as well.

What comes in: `start`, `metrics`, `samples`, `end`, `sweep` (close orphaned runs), each with its
fields; what goes out: `started`, `refused`, `failed`, `writing` (the end takes its time), `ended`, `swept`.
See `Conversation`.
"""

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from gptlab.errors import UserError
from gptlab.run import DatasetFacts, Matrix, Run
from gptlab.tracking.orphans import close_orphans
from gptlab.tracking.recorder import Recorder
from gptlab.tracking.store import Store, open_store, settle

Message = dict[str, Any]

FLUSH_SECONDS = 1.0
FLUSH_QUEUED = 1000
LONGEST_PAUSE = 30.0  # between attempts while the store does not answer


class Conversation:
    """Answers messages until its input ends; writes what is queued about each second.

    `inbox` gives messages, and None when the parent is gone; `reply` takes the answers.
    """

    def __init__(self, inbox: "queue.SimpleQueue[Message | None]", reply: Callable[[Message], None]) -> None:
        self.inbox = inbox
        self.reply = reply
        self.recorder: Recorder | None = None
        self._flush_at = float("inf")
        self._pause = 0.0

    def hold(self) -> None:
        """Answer every message; return when the parent is gone."""
        while True:
            try:
                message = self.inbox.get(timeout=min(max(0.0, self._flush_at - time.monotonic()), 3600.0))
            except queue.Empty:
                self._flush()
                continue
            if message is None:
                if self.recorder is not None:
                    self.recorder.end("KILLED", "the process was killed", None)
                    settle(self.recorder.store)
                return
            fields = {name: value for name, value in message.items() if name != "do"}
            getattr(self, f"_{message['do']}")(**fields)
            if time.monotonic() >= self._flush_at:
                self._flush()

    def _start(
        self, store: Message, experiment: str, run: Message, process: str, command: str, began: int
    ) -> None:
        try:
            place = read_store(store)
            client = open_store(place)
            recorder = Recorder(client, place, read_run(run))
            self.reply({"is": "started", "id": recorder.start(experiment, process, command, began)})
        except Exception as error:
            self.reply({"is": "refused", "message": str(error), "user": isinstance(error, UserError)})
            return
        self.recorder = recorder
        self._flush_at, self._pause = 0.0, 0.0
        try:
            self._flush()
            close_orphans(client, [recorder.experiment_id])
            # The figure is drawn when the run is over and somebody waits: load what it needs now.
            from gptlab.figures import loss_curve

            loss_curve({"train/loss": [(1, 1.0)]}, {}, "")
        except Exception as error:
            self._failed(error)

    def _metrics(self, rows: list[tuple[int, int, dict[str, float]]]) -> None:
        assert self.recorder is not None
        for step, timestamp, values in rows:
            self.recorder.metrics(step, timestamp, values)
        self._expect_flush()

    def _samples(self, step: int, texts: list[str]) -> None:
        assert self.recorder is not None
        self.recorder.samples(step, texts)
        self._expect_flush()

    def _end(self, status: str, reason: str, weights: str | None) -> None:
        assert self.recorder is not None
        recorder, self.recorder = self.recorder, None
        self._flush_at = float("inf")
        still = partial(self.reply, {"is": "writing"})
        error = recorder.end(status, reason, Path(weights) if weights else None, still)
        settle(recorder.store)
        self.reply({"is": "ended", "lost": recorder.queued, "message": "" if error is None else str(error)})

    def _sweep(self, store: Message) -> None:
        try:
            client = open_store(read_store(store))
            ids = [experiment.experiment_id for experiment in client.search_experiments()]
            close_orphans(client, ids)
            self.reply({"is": "swept"})
        except Exception as error:
            self.reply({"is": "refused", "message": str(error), "user": isinstance(error, UserError)})

    def _expect_flush(self) -> None:
        assert self.recorder is not None
        if self._pause == 0.0 and self.recorder.queued >= FLUSH_QUEUED:
            self._flush_at = 0.0
        self._flush_at = min(self._flush_at, time.monotonic() + (self._pause or FLUSH_SECONDS))

    def _flush(self) -> None:
        self._flush_at = float("inf")
        if self.recorder is None:
            return
        try:
            self.recorder.flush()
            self._pause = 0.0
        except Exception as error:
            self._pause = min(LONGEST_PAUSE, 2 * self._pause or FLUSH_SECONDS)
            self._flush_at = time.monotonic() + self._pause
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.reply({"is": "failed", "message": str(error) or type(error).__name__})


def write_store(store: Store) -> Message:
    """A store as a message."""
    return {
        "uri": store.uri,
        "artifacts": store.artifacts,
        "database": str(store.database) if store.database else None,
    }


def read_store(message: Message) -> Store:
    """The store that `write_store` wrote."""
    database = message["database"]
    return Store(message["uri"], message["artifacts"], Path(database) if database else None)


def write_run(run: Run) -> Message:
    """What is known of a run when it starts, as a message."""
    return {
        "name": run.name,
        "description": run.description,
        "folder": str(run.folder),
        "config": run.config,
        "matrices": [vars(matrix) for matrix in run.matrices],
        "dataset": vars(run.dataset),
        "tags": run.tags,
    }


def read_run(message: Message) -> Run:
    """The run that `write_run` wrote."""
    matrices = [Matrix(**{**matrix, "shape": tuple(matrix["shape"])}) for matrix in message["matrices"]]
    return Run(
        **{
            **message,
            "folder": Path(message["folder"]),
            "matrices": matrices,
            "dataset": DatasetFacts(**message["dataset"]),
        }
    )


def main() -> None:
    """Hold the conversation over standard input and output."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    _silence()
    inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    busy = threading.Event()
    reader = threading.Thread(target=_read, args=(sys.stdin, inbox, busy), daemon=True)
    reader.start()

    def reply(message: Message) -> None:
        if message["is"] in ("refused", "ended", "swept"):
            busy.clear()
        with suppress(BrokenPipeError):  # The parent is gone; the end of the input says so as well.
            print(json.dumps(message), file=replies, flush=True)

    try:
        _load()
        Conversation(inbox, reply).hold()
    except BaseException as error:
        reply({"is": "gone", "message": repr(error)})
        os._exit(1)
    os._exit(0)  # Nothing is left to write: skip the second that taking down MLflow's modules costs.


def _read(lines: TextIO, inbox: "queue.SimpleQueue[Message | None]", busy: threading.Event) -> None:
    for line in lines:
        busy.set()
        inbox.put(json.loads(line))
    if not busy.is_set():
        os._exit(0)  # at once, also in the midst of the import
    inbox.put(None)


def _silence() -> None:
    """Send to nowhere what MLflow, Alembic, Git and warnings would print, from C code too."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _load() -> None:
    """Import what the first `start` needs, and most of the time that it takes."""
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
