"""What a run looks like in MLflow: writes one run through an `MlflowClient`, in batches.

Called from one thread. Whatever cannot be written stays queued, in order, and is tried again; no
metric is written twice at a step, whatever was lost, repeated or begun again on the way.
"""

import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.runs.files import METRICS
from gptlab.runs.run import Run
from gptlab.tracking.experiment import experiment_id
from gptlab.tracking.facts import COUNTS, clean_key, flat_params, tags_of
from gptlab.tracking.messages import read_run, read_store, write_run, write_store
from gptlab.tracking.resuming import continued, steps_of
from gptlab.tracking.store import Store, answers
from gptlab.tracking.unsent import UNSENT, Point, Unsent, keep, kept
from gptlab.tracking.writes import Write, Writer, kind_of
from gptlab.training.metric_rows import rows_in

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOSS, BEST = "val/loss", "val/best"
METRICS_A_BATCH = 1000  # MLflow's limits
PARAMS_A_BATCH = 100
LASTING = (
    "texts",
    "text",
    "folder",
    "remove",
    "inspection",
)  # the kinds of writes that still hold when a run is continued
ENDING_SECONDS = 20.0  # no new artifact is begun after so long: a dead server must not hold a finished run


class Recorder:
    """One MLflow run, from `start` to `end`; `metrics`, `samples` and `checkpoint` queue, `flush` writes.

    `process` is `orphans.process` of the process that trains. `began`, in milliseconds since 1970, is
    when it began: it may have taken its first steps while MLflow was loaded here. `on_made` is called with
    the id of a run that was made, at once.
    """

    def __init__(
        self,
        client: "MlflowClient",
        store: Store,
        run: Run,
        experiment: str,
        process: str,
        command: str,
        began: int,
        on_made: Callable[[str], None] = lambda run_id: None,
    ) -> None:
        self.client = client
        self.store = store
        self.run = run
        self.experiment = experiment
        self.process = process
        self.command = command
        self.began = began
        self.on_made = on_made
        self.experiment_id = ""
        self.history: dict[str, list[tuple[int, float]]] = {}
        self._writer = Writer(client, run, self.history)
        self._points: list[Point] = []
        self._writes: list[Write] = []
        self._last: dict[str, int] = {}  # the last step of each key that is in the store or queued
        self._best = math.inf  # the lowest validation loss so far
        self._logged: set[str] = set()  # samples that are in the store
        self._in_doubt = False  # a batch may be in the store although no answer said so
        self._started = False
        self._has_curve = self._has_results = False  # queued
        self._continues = False
        self._unsent: Unsent | None = None  # all that this one is to send, if the run has ended

    @classmethod
    def going_on(cls, client: "MlflowClient", folder: Path, unsent: Unsent) -> "Recorder":
        """The recorder of a run that has ended, with what it could not write."""
        head = unsent.head
        run = read_run({**head["run"], "folder": str(folder)})
        keys = ("experiment", "process", "command", "began")
        recorder = cls(client, read_store(head["store"]), run, **{key: head[key] for key in keys})
        recorder.read_rows()
        if head["started"]:
            recorder._points, recorder._writes = list(unsent.points), list(unsent.writes)
            recorder._started = recorder._continues = recorder._in_doubt = True
        else:
            recorder._unsent = unsent
        return recorder

    def start(self) -> str:
        """Make the run, or open it again if it has an id, and queue what is known of it; its id.

        Raises UserError if the experiment is deleted, or keeps its artifacts where this store cannot
        write; if the run to continue is not there, deleted, or still being trained.
        """
        self._continues = bool(self.run.id) or self.run.resumed_from is not None or self._unsent is not None
        earlier = (self._unsent or kept(self.run.folder)) if self._continues else None
        if self.run.id:
            found = continued(self.client, self.store, self.run.id, self.run.description, self.process)
            self.experiment_id = found.info.experiment_id
            self._logged = {file.path for file in self.client.list_artifacts(self.run.id, "samples")}
            has_dataset = found.inputs is not None and bool(found.inputs.dataset_inputs)
            known = steps_of(found), found.data.params, has_dataset
        else:
            self.experiment_id = experiment_id(self.client, self.store, self.experiment)
            self.run.id = self.client.create_run(
                self.experiment_id,
                start_time=self.began,
                run_name=self.run.name,
                tags=tags_of(self.run, self.process, self.command),
            ).info.run_id
            self.on_made(self.run.id)
            known = {}, {}, False
        # From here on nothing can fail: what came while the store did not answer goes to the end of the queue.
        came, self._points = self._points, []
        best_came, self._best = self._best, math.inf
        self._last, params, has_dataset = known
        self._queue_facts(params, has_dataset)
        if self._continues:
            self._take_over(earlier)
        for key, value, timestamp, step in came:
            self._queue(key, min(value, self._best) if key == BEST else value, timestamp, step)
        self._best = min(self._best, best_came)
        self._started = True
        return self.run.id

    def metrics(self, step: int, timestamp: int, values: dict[str, float]) -> None:
        """Queue the metrics of a step; `timestamp` in milliseconds since 1970."""
        self._remember(step, values)
        self._queue_row(step, timestamp, values)

    def samples(self, step: int, texts: list[str]) -> None:
        """Queue the texts sampled at a step, one a line, as an artifact of that step."""
        path = f"samples/step-{step:06d}.txt"
        if path not in self._logged:
            if not self._writes or kind_of(self._writes[-1]) != "texts":
                self._writes.append({"write": "texts", "texts": {}})
            self._writes[-1]["texts"][path] = "".join(f"{line}\n" for line in texts)

    def checkpoint(self, path: str, removed: list[str]) -> None:
        """Queue a checkpoint's folder as an artifact of the same path, and the removal of others."""
        self._writes.append({"write": "folder", "path": path})
        for gone in removed:
            uploads = {"write": "folder", "path": gone}
            if uploads in self._writes:  # not even begun
                self._writes.remove(uploads)
            else:
                self._writes.append({"write": "remove", "path": gone})

    def curve(self) -> None:
        """Queue the loss curve, once no more metrics come. Before `end`, as `results`: it is drawn meanwhile."""
        if not self._has_curve and any(name.endswith("/loss") for name in self.history):
            self._has_curve = True
            self._writes.append({"write": "curve"})

    def results(self, weights: str | None) -> None:
        """Queue what a run has to show once its last step is done; `weights` is the folder of the final ones.

        Before `end`, so that it is written while the rest of the run still goes on.
        """
        self.curve()
        if self._has_results:
            return
        self._has_results = True
        self._writes.append({"write": "file", "path": "tokenizer.json"})
        settings: Any = self.run.config.get("tracking") or {}
        if weights is not None and settings.get("logModel", True):
            self._writes.append({"write": "model", "path": weights})

    def inspection(self, path: str, step: int) -> None:
        """Queue what an inspection's file shows: a page and a picture."""
        self._writes.append({"write": "inspection", "path": path, "step": step})

    @property
    def registered(self) -> str:
        """What the run's model is called in MLflow's registry; empty if it is not in there."""
        return self._writer.registered

    @property
    def queued(self) -> int:
        """How many writes are waiting: metrics count one by one."""
        return len(self._points) + len(self._writes)

    def flush(self, on_written: Callable[[], None] = lambda: None) -> None:
        """Write all that is queued; on an error the rest stays queued and the error is raised.

        `on_written` is called after each batch of metrics: there may be many.
        """
        if not self._started:
            self.start()
        self._flush_points(on_written)
        while self._writes:
            self._writer.do(self._writes[0])
            del self._writes[0]
        self._drop_unsent()

    def end(
        self, status: str, reason: str, weights: str | None, on_written: Callable[[], None] = lambda: None
    ) -> Exception | None:
        """Write what is queued and the last artifacts, then close the run as `status`.

        `weights` is the file of the final ones. The first error, if any: what could not be written is
        still queued, and `keep_unsent` keeps it. `on_written` as in `flush`.
        """
        folder = None if weights is None else os.path.relpath(Path(weights).parent, self.run.folder)
        self.results(folder if status == "FINISHED" else None)
        if reason:
            note = f"{self.run.description}\n\n{status}: {reason}".strip()
            self._writes.append({"write": "tag", "name": "error", "value": reason})
            self._writes.append({"write": "tag", "name": "mlflow.note.content", "value": note})
        self._writes.append({"write": "status", "status": status, "ended": int(time.time() * 1000)})
        return self.drain(on_written, ENDING_SECONDS)

    def drain(
        self, on_written: Callable[[], None] = lambda: None, seconds: float = float("inf")
    ) -> Exception | None:
        """Try every write that is queued once, also after one has failed; the first error, if any.

        After so many `seconds` only the status is still tried.
        """
        failure: Exception | None = None
        deadline = time.monotonic() + seconds
        try:
            if not self._started:
                self.start()
            self._flush_points(on_written)
        except Exception as error:
            failure = error
        waiting, self._writes = self._writes, []
        away = failure is not None and not self._answers()
        for write in waiting:
            if away or (time.monotonic() > deadline and kind_of(write) != "status"):
                self._writes.append(write)
                continue
            try:
                self._writer.do(write)
            except Exception as error:
                self._writes.append(write)
                away = failure is None and not self._answers()
                failure = failure or error
        return failure

    def keep_unsent(self) -> bool:
        """Put what is still queued into the run's folder, or remove what lies there; True if it is kept."""
        if not self.queued:
            self._drop_unsent()
            return True
        head = {
            "store": write_store(replace(self.store, password="")),
            "experiment": self.experiment,
            "run": write_run(self.run),
            "process": self.process,
            "command": self.command,
            "began": self.began,
            "started": self._started,
        }
        try:
            keep(self.run.folder, Unsent(head, self._points, self._writes))
        except OSError:
            return False
        return True

    def _drop_unsent(self) -> None:
        """All that the folder kept is written, if it was this run's."""
        if self._continues:
            with suppress(OSError):
                (self.run.folder / UNSENT).unlink(missing_ok=True)

    def read_rows(self) -> list[tuple[int, dict[str, float]]]:
        """The rows of the folder's metrics.jsonl, which the history now has too."""
        rows = rows_in(self.run.folder / METRICS)
        for step, values in rows:
            self._remember(step, values)
        return rows

    def _take_over(self, earlier: Unsent | None) -> None:
        """Queue what earlier processes did not send, or did not live to."""
        if earlier is not None:
            for key, value, timestamp, step in earlier.points:
                self._queue(key, value, timestamp, step)
            # That the run had ended is no longer so, unless all that is left to do is to send it.
            lasting = earlier.writes if self._unsent else [w for w in earlier.writes if kind_of(w) in LASTING]
            self._writes += lasting
        for step, values in self.read_rows():
            self._queue_row(step, self.began, values)

    def _remember(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            earlier = self.history.setdefault(name, [])
            if not earlier or earlier[-1][0] < step:
                earlier.append((step, value))

    def _queue_row(self, step: int, timestamp: int, values: dict[str, float]) -> None:
        """Queue the metrics of a step, and with a validation loss the lowest so far, which MLflow does not know."""
        for name, value in values.items():
            self._queue(clean_key(name), value, timestamp, step)
        if math.isfinite(values.get(LOSS, math.nan)):
            self._best = min(self._best, values[LOSS])
            self._queue(BEST, self._best, timestamp, step)

    def _queue(self, key: str, value: float, timestamp: int, step: int) -> None:
        if step > self._last.get(key, -1):
            self._last[key] = step
            self._points.append((key, value, timestamp, step))

    def _flush_points(self, on_written: Callable[[], None]) -> None:
        from mlflow.entities import Metric

        if self._points and self._in_doubt:
            reached = steps_of(self.client.get_run(self.run.id))
            self._points = [point for point in self._points if point[3] > reached.get(point[0], -1)]
            self._in_doubt = False
        while self._points:
            batch = self._points[:METRICS_A_BATCH]
            self._in_doubt = True
            self.client.log_batch(self.run.id, metrics=[Metric(*point) for point in batch], synchronous=True)
            self._in_doubt = False
            del self._points[: len(batch)]
            on_written()

    def _answers(self) -> bool:
        return not self.store.is_server or answers(self.store, 2.0)

    def _queue_facts(self, logged: dict[str, str], has_dataset: bool) -> None:
        """What is known at the start, but for what MLflow has already: it never lets that be changed."""
        params = {key: value for key, value in flat_params(self.run.config).items() if key not in logged}
        items = list(params.items())
        for first in range(0, len(items), PARAMS_A_BATCH):
            self._writes.append({"write": "params", "values": dict(items[first : first + PARAMS_A_BATCH])})
        now = int(time.time() * 1000)
        for part, count in self.run.parameter_counts().items():
            self._queue(clean_key(f"{COUNTS}.{part}"), float(count), now, 0)
        if not has_dataset:
            self._writes.append({"write": "dataset"})
            self._writes.append({"write": "table"})
            self._writes += [{"write": "file", "path": path} for path in ("config.yaml", "plugins.json")]
