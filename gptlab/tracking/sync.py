"""What an MLflow store lacks of a run's folder, sent: while the run goes on, at its end, or any time later.

Whatever was lost, repeated or begun again on the way, the store ends up as the folder: nothing is asked of
whoever trains, and nothing is written twice at a step.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.errors import UserError
from gptlab.files import Busy, Lock, lock
from gptlab.runs.files import METRICS, WRITING, check_leads_nowhere
from gptlab.runs.folder import OVER, RunFolder, ToldFolder
from gptlab.runs.run import FINISHED, KILLED, RUNNING
from gptlab.tracking.facts import COUNTS, METRICS_A_BATCH, TAG_LENGTH, clean_key, flat_params, log_params
from gptlab.tracking.opening import end_of, end_run, find_run, open_run, steps_of
from gptlab.tracking.orphans import REASON
from gptlab.tracking.server import answers
from gptlab.tracking.store import Away, Store
from gptlab.tracking.uploads import FILES, Uploads
from gptlab.training.metric_rows import Metrics, rows_after

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

LOSS, BEST = "val/loss", "val/best"
STOPPED = "stopped"  # the tag: why a listener or the budget ended a run
ENDING_SECONDS = 20.0  # no new artifact is begun after so long: a dead server must not hold a finished run
WAITING_SECONDS = 60.0  # a forerunner writes what it has and ends; a dead server may hold it for a while
Point = tuple[str, float, int, int]  # a metric's key, value, time (milliseconds since 1970) and step


class Sync:
    """Brings one run of an MLflow store up to what its folder tells. Called from one thread.

    `fresh`: nobody has tried to make the run in the store before. on_written: called after each batch of metrics:
    there may be many.
    """

    def __init__(
        self,
        client: "MlflowClient",
        store: Store,
        folder: RunFolder,
        fresh: bool = False,
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self.client = client
        self.store = store
        self.folder = folder
        self.fresh = fresh
        self.on_written = on_written
        self.run = folder.run()
        self.process = str(folder.identity().get("process", ""))  # that trains it
        self.uploads = Uploads(client, self.run)
        self._opened = False
        self._read = 0  # bytes of metrics.jsonl that are in the store
        self._last: dict[str, int] = {}  # the last step of each key there
        self._at = (-1, 0)  # the last step of any key there, and when it was logged
        self._best = math.inf  # the lowest validation loss so far
        self._in_doubt = False  # a batch may be in the store although no answer said so
        self._facts_sent = False

    @property
    def registered(self) -> str:
        """What the run's model is called in MLflow's registry; empty if it is not in there."""
        return self.uploads.registered

    def send(self) -> None:
        """Send what the store lacks, but for the end of the run. Raises whatever the store raises."""
        self.open()
        for part in self._parts():
            part()

    def end(self, seconds: float = ENDING_SECONDS) -> Exception | None:
        """Send what is left, then close the run as its folder says it ended; the first error, if any.

        Each part is tried, also after another one has failed; after so many seconds only the status is.
        """
        return self.close(**end_of(self.folder.identity()), seconds=seconds)

    def close(
        self, status: str, reason: str = "", ended: int | None = None, seconds: float = ENDING_SECONDS
    ) -> Exception | None:
        """As `end`, for a run whose folder keeps no end: it took no step."""
        failure: Exception | None = None
        deadline = time.monotonic() + seconds
        ended = ended or int(time.time() * 1000)
        parts: list[Callable[[], object]] = [self.open, *self._parts()]
        parts += [lambda: self.uploads.results(status, self._newest())]
        if self.store.is_server:
            parts += [lambda: self._confirm(status)]
        parts += [lambda: self._close(status, reason, ended)]
        for part in parts:
            if part is not parts[-1] and part is not parts[0] and time.monotonic() > deadline:
                failure = failure or TimeoutError("it takes too long")
                continue
            try:
                part()
            except Exception as error:
                failure = failure or error
                if not self._opened or (self.store.is_server and not answers(self.store, 2.0)):
                    break
        if failure is None:
            with suppress(OSError):
                self.folder.update_if({"status": status, "process": self.process}, synced=True)
        return failure

    def open(self) -> str:
        """Find the run in the store, or make it; its id. Raises UserError as `open_run`."""
        if not self._opened:
            fresh, self.fresh = self.fresh, False  # the next time it may be there, though no answer said so
            self.run.id, found = open_run(self.client, self.store, self.folder, fresh)
            self.fresh = fresh
            if found is not None:
                self._last = steps_of(found)
                self._at = max([self._at, *((m.step, m.timestamp) for m in found.data._metric_objs)])
                self.uploads.look()
                known = bool(found.inputs and found.inputs.dataset_inputs)
                self._facts_sent = known and self.uploads.has_files
            self._opened = True
        return self.run.id

    def _parts(self) -> list[Callable[[], None]]:
        return [
            self._send_rows,
            self._send_facts,
            self.uploads.samples,
            self.uploads.checkpoints,
            self.uploads.inspections,
            self._send_last,
        ]

    def _send_rows(self) -> None:
        while True:
            rows, end = rows_after(self.folder.path / METRICS, self._read)
            if end == self._read:
                return
            if self._in_doubt:
                self._last |= steps_of(self._found())
                self._in_doubt = False
            points, best = self._points(rows, self._best, lambda key, step: step <= self._last.get(key, -1))
            while batch := list(islice(points, METRICS_A_BATCH)):
                self._log(batch)
            self._read, self._best = end, best[0]

    def _points(
        self, rows: Metrics, lowest: float, has: Callable[[str, int], bool]
    ) -> tuple[Iterator[Point], list[float]]:
        """What the store has not of these rows, and, once that is read, the lowest validation loss up to them.

        lowest: that of the rows before. MLflow does not know the lowest so far: it is a metric of its own.
        """
        times, best = self._times(), [lowest]

        def points() -> Iterator[Point]:
            for step, values in rows:
                named = {clean_key(name): value for name, value in values.items()}
                if math.isfinite(values.get(LOSS, math.nan)):
                    best[0] = named[BEST] = min(best[0], values[LOSS])
                for key, value in named.items():
                    if not has(key, step):
                        yield key, value, times(step), step

        return points(), best

    def _times(self) -> Callable[[int], int]:
        """When a step was logged: now, while the run goes on.

        Of one that is over, evenly from what the store has last, or from the start, to the end.
        """
        told = self.folder.identity()
        now = int(time.time() * 1000)
        ended = told.get("ended")
        if told.get("status") not in OVER or not ended:
            return lambda step: now
        known, since = max(self._at, (0, told.get("began", ended)))
        last = max([known + 1, *(step for step, _ in self.folder.rows()[-1:])])
        return lambda step: since + max(0, ended - since) * max(0, step - known) // (last - known)

    def _log(self, points: list[Point]) -> None:
        from mlflow.entities import Metric

        self._in_doubt = True
        self.client.log_batch(self.run.id, metrics=[Metric(*point) for point in points], synchronous=True)
        self._in_doubt = False
        for key, _, timestamp, step in points:
            self._last[key] = step
            self._at = max(self._at, (step, timestamp))
        self.on_written()

    def _send_facts(self) -> None:
        """What is known at the start, but for what MLflow has already: it never lets that be changed."""
        if self._facts_sent:
            return
        logged = {} if self.fresh else self._found().data.params
        params = {k: v for k, v in flat_params(self.run.config).items() if k not in logged}
        log_params(self.client, self.run.id, params)
        now = int(time.time() * 1000)
        counts = self.folder.identity().get("parameters", {})
        points = [(clean_key(f"{COUNTS}.{part}"), float(count), now, 0) for part, count in counts.items()]
        self._log([point for point in points if point[0] not in self._last])
        for name in FILES:
            self.uploads.file(name)
        self.uploads.dataset()  # last: where it is, the others are
        self._facts_sent = True

    def _send_last(self) -> None:
        """What can be made once the last step is done, while the rest of the run still goes on."""
        steps = self.run.config.get("train", {}).get("numSteps")
        if steps and self._last.get(clean_key("train/loss")) == steps:
            self.uploads.curve()
            newest = self._newest()
            if newest is not None and newest.name.endswith(f"-{steps:06d}"):
                self.uploads.results(FINISHED, newest)

    def _confirm(self, status: str) -> None:
        """Send again what a server has taken and has not: something else may have answered for it, with a 200.

        Raises Away if it has not all of it then.
        """
        points = self._lost_points()
        if not self._forget_lost() and not points:
            return
        for start in range(0, len(points), METRICS_A_BATCH):
            self._log(points[start : start + METRICS_A_BATCH])
        for part in self._parts():
            part()
        self.uploads.results(status, self._newest())
        if self._lost_points() or self._forget_lost():
            raise Away("it has not kept everything that it took")

    def _lost_points(self) -> list[Point]:
        """What is in the rows of the folder and not in the store."""
        latest, there = steps_of(self._found()), dict[str, set[int]]()

        def has(key: str, step: int) -> bool:
            if key not in there:
                there[key] = {metric.step for metric in self.client.get_metric_history(self.run.id, key)}
                if max(there[key], default=None) != latest.get(key):  # one of the two was not MLflow's
                    raise Away(
                        "its answers about the run contradict each other: not everything that answers is MLflow"
                    )
                self.on_written()
            return step in there[key]

        return list(self._points(self.folder.rows(), math.inf, has)[0])

    def _found(self) -> "MlflowRun":
        """What MLflow knows of the run. Raises Away if it is not MLflow that answers."""
        found = find_run(self.client, self.store, self.run.id)
        if found is None:
            raise Away("it no longer knows the run")
        return found

    def _forget_lost(self) -> bool:
        """Whether the store lacks something else that it has taken: that is to be sent again."""
        found = self._found()
        lost = not flat_params(self.run.config).keys() <= found.data.params.keys()
        lost |= not found.inputs or not found.inputs.dataset_inputs
        if found.info.artifact_uri.startswith("mlflow-artifacts:"):  # files go through the server, too
            lost |= self.uploads.forget_lost()
        if lost:
            self.fresh = self._facts_sent = False
        return lost

    def _newest(self) -> Path | None:
        return next(reversed(self.folder.checkpoints()), None)

    def _close(self, status: str, reason: str, ended: int) -> None:
        if reason:
            note = f"{self.run.description}\n\n{status}: {reason}".strip()
            self.client.set_tag(self.run.id, "mlflow.note.content", note[:TAG_LENGTH])
        stopped = str(self.folder.identity().get("stopped") or "") if status == FINISHED else ""
        if stopped:
            self.client.set_tag(self.run.id, STOPPED, stopped[:TAG_LENGTH])
        elif STOPPED in self.client.get_run(self.run.id).data.tags:  # it was gone on with
            self.client.delete_tag(self.run.id, STOPPED)
        end_run(self.client, self.run.id, status, reason, ended)


def end_killed(folder: ToldFolder, process: str) -> None:
    """Have a folder say that its run was killed, if it is still that of `process`, which is gone. Raises OSError."""
    ended = int(time.time() * 1000)
    folder.update_if({"status": RUNNING, "process": process}, status=KILLED, reason=REASON, ended=ended)


def alone(folder: Path, seconds: float = WAITING_SECONDS) -> Lock:
    """Wait until no other process writes the run of this folder.

    Raises UserError if one still does after so many seconds, for a folder that cannot be written, and one that leads
    elsewhere.
    """
    check_leads_nowhere(folder)
    try:
        return lock(folder / WRITING, seconds)
    except Busy:
        raise UserError(
            f"the run in {folder} is still being written to MLflow by another process: end that one first."
        ) from None
    except OSError as error:
        raise UserError(f"the run's folder must be writable: {folder}: {error.strerror}.") from None
