"""The listener that writes one run to MLflow.

All that is MLflow's happens in a process of its own, see `worker`; the training process only puts
messages into a queue.
"""

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from gptlab.calling import as_called
from gptlab.errors import UserError
from gptlab.inspection.inspection import Inspection, write_inspection
from gptlab.plugins.hookspecs import hookimpl
from gptlab.runs.files import INSPECTIONS
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import Run, end_of
from gptlab.streams import show
from gptlab.tracking import MLflowTracking, left
from gptlab.tracking.beginning import check_database
from gptlab.tracking.connection import Connection, connections
from gptlab.tracking.facts import PARENT, begun_facts
from gptlab.tracking.named_stores import check_named
from gptlab.tracking.server import check_server, in_thread
from gptlab.tracking.store import WITHOUT, check_store, find_store, refusal_of

STARTING_SECONDS = 20.0  # the longest that a run waits to exist, only to be closed
CLOSING_SECONDS = 120.0  # the longest that a finished run waits for the next thing to be written
LONG = 2.0  # seconds of a sweep's job, from which on MLflow follows it while it goes on
RESTARTS = 2  # of MLflow's process within a run: what ends it each time would do so for ever


class Tracker:
    """Has one run followed in MLflow. Order: `prepare`, `gptlab_run_started`, `wait_until_ready`, steps, end.

    What MLflow is to have stands in the run's folder: here its process is only told that there is something.
    None of the methods waits for MLflow but `wait_until_ready` and `gptlab_run_ended`. A job of a sweep that is over
    soon is sent whole once it is, by the process of MLflow's that has the sweep open.
    """

    def __init__(self, config: MLflowTracking) -> None:
        self.config = config
        self._connection: Connection | None = None
        self._server: Future[None] | None = None
        self._ready = False
        self._accepted = False  # MLflow's process has the run, though a server may not yet
        self._reported = False
        self._refusal = ""  # why nothing more of the run is written
        self._restarts = 0
        self._short_since: float | None = (
            None  # since when a sweep's job goes on of which MLflow does not know yet
        )
        self._end: dict[str, str] | None = None  # the message that ended the run, once it is over

    def prepare(self) -> None:
        """Begin to load MLflow, in another process. Best called first of all.

        Raises UserError for a store that only the run's folder or an experiment's file names.
        """
        check_named(find_store(self.config.uri))
        connections.warm_up()

    @hookimpl
    def gptlab_run_started(self, run: Run) -> None:
        """Have the store, the experiment and the run made, or the run `run.id` opened again; returns at once.

        Raises UserError if the store is a file that cannot be opened or made, or in which the experiment or the run is
        deleted.
        """
        store = find_store(self.config.uri)
        check_store(store)
        self._run = run
        self._store = store
        check_database(store, self.config.experimentName, run.id)
        # That of a sweep's parent has answered; if it is away now, the job goes on, and is written later.
        if store.is_server and PARENT not in run.tags:
            check = partial(check_server, store, experiment=self.config.experimentName, run_id=run.id)
            self._server = in_thread(check)
        folder = RunFolder(run.folder)
        known = folder.identity()
        # A job that was killed before it knew of its run has a key, by which that is found.
        fresh = run.resumed_from is None and not run.id and "key" not in known
        told = begun_facts({} if fresh else known)
        folder.update(**told, store=store.address, experiment=self.config.experimentName, synced=False)
        self._fresh = fresh
        # That a model is registered is told as its run ends.
        if PARENT in run.tags and connections.has_sweep and not run.config.get("register"):
            self._short_since = time.monotonic()
        elif self._server is None:
            self._follow(fresh)

    def _follow(self, fresh: bool) -> None:
        self._short_since = None
        self._connection = connections.take()
        self._tell(fresh)

    def _tell(self, fresh: bool) -> None:
        """Tell MLflow's process which folder it is to follow."""
        assert self._connection is not None
        self._folder = self._run.folder.absolute()
        self._place = self._folder.stat().st_ino
        folder = str(self._folder)
        self._connection.send(do="follow", store=asdict(self._store), folder=folder, fresh=fresh)

    def _is_elsewhere(self, folder: Path) -> bool:
        """Whether a run's folder was removed or moved, and made again, since MLflow's process was told of it."""
        return folder.absolute() != self._folder or folder.stat().st_ino != self._place

    def wait_until_reachable(self) -> None:
        """Wait until a server, if the store is one, has answered: some seconds at most, and nothing for a file.

        With this the steps may begin before the run exists: what they report is queued, and the
        first `gptlab_step_ended` after that sets `run.id`. Raises UserError if what answers does not take the run.
        """
        if self._server is not None and self._connection is None:
            self._server.result()
            self._follow(self._fresh)  # not before: of a run that is refused nothing is made

    def wait_until_ready(self, timeout: float = 60.0) -> None:
        """Wait until the run exists; sets `run.id`.

        Raises UserError if the store cannot be reached or opened, or takes longer than `timeout` seconds.
        """
        self.wait_until_reachable()
        late = f"the MLflow store {self._store.shown} does not answer within {timeout:g} s. {WITHOUT}"
        self._wait(lambda: self._ready, timeout, late)

    @hookimpl
    def gptlab_step_ended(self, run: Run, step: int, metrics: dict[str, float]) -> None:
        """Of a run that MLflow refuses after all the folder keeps everything: training goes on."""
        if self._short_since is not None and time.monotonic() - self._short_since > LONG:
            self._follow(self._fresh)
        if self._connection is None:
            return
        if _is_last(run, step):
            self._connection.send(do="now")
        while self._connection is not None and (reply := self._connection.receive(0.0)) is not None:
            self._take(reply)
        if self._refusal:
            self._report(f"{self._refusal}{self._rest()}")

    @hookimpl
    def gptlab_checkpoint_saved(self, run: Run, folder: Path, step: int, removed: list[Path]) -> None:
        """Have the last checkpoint, and the model that it holds, sent at once."""
        if self._connection is not None and _is_last(run, step):
            self._connection.send(do="now")

    @hookimpl
    def gptlab_inspected(self, run: Run, step: int, inspection: Inspection) -> None:
        """Keep an inspection for MLflow's process, which draws it while training goes on."""
        if self._connection is None and self._short_since is None:
            return
        path = f"{INSPECTIONS}/step-{step:06d}.npz"
        try:
            write_inspection(inspection, run.folder / path)
        except OSError as error:
            self._report(f"step {step} is not shown: {path} could not be written ({error.strerror})")

    @hookimpl
    def gptlab_run_ended(self, run: Run, error: BaseException | None) -> None:
        """Wait until all is written and the run is closed: FINISHED, FAILED, or KILLED if interrupted.

        Within `connections.in_background` that is waited for only at its end, and of a run that has ended well by
        itself it is not: its folder is whole, and MLflow's process makes the store so, see `left`.
        """
        if self._short_since is not None:
            # Of a run that took no step the folder is gone in a moment.
            if run.metrics and connections.send_job(asdict(self._store), run.folder.absolute(), self._fresh):
                run.sent_later = True
                return
            self._follow(self._fresh)
        if self._connection is None and not self._refusal:
            return
        if error is None and self._leave(run):
            run.sent_later = True
            return
        with self._telling_what_is_left():
            self._ask_for_end(error)
        if self._connection is None:
            return
        if run.metrics:
            connections.end(self._finish)
        else:
            self._finish()

    def _leave(self, run: Run) -> bool:
        """Leave what is to be sent to MLflow's process; False where that is to be waited for."""
        while self._connection is not None and (reply := self._connection.receive(0.0)) is not None:
            self._take(reply)
        waits = self.config.wait or connections.in_a_row or PARENT in run.tags or not left.may_be_left()
        # A model that is registered is called by its name in the next command.
        waits |= bool(run.config.get("register")) or not run.metrics
        if self._connection is None or waits or self._reported or self._is_elsewhere(run.folder):
            return False
        note = left.note(run.folder, self._store.shown, self._connection.pid)
        if note is None:
            return False
        if not left.hand_over(self._connection, note, do="end"):
            return False
        self._connection = None
        return True

    def _ask_for_end(self, error: BaseException | None) -> None:
        if self._connection is not None and not self._accepted:
            # It ended before MLflow's process had it. Waited for here: a sweep notes the id of each job.
            late = "the run ended before the store had answered"
            self._wait(lambda: self._accepted, CLOSING_SECONDS if error is None else STARTING_SECONDS, late)
        if self._connection is not None:
            if self._run.metrics and self._is_elsewhere(self._run.folder):
                self._tell(fresh=False)
            # Of a run that took no step its folder keeps nothing, and is gone in a moment.
            told = {} if self._run.metrics else dict(zip(("status", "reason"), end_of(error), strict=True))
            self._end = told
            self._connection.send(do="end", **told)

    def _finish(self) -> None:
        """Wait until all is written."""
        with self._telling_what_is_left():
            while self._connection is not None:
                late = f"nothing more is written for {CLOSING_SECONDS:g} s"
                # Each answer says that all is well, and that there is only much to write.
                with self._giving_up():
                    self._take_next(CLOSING_SECONDS, late)

    @contextmanager
    def _telling_what_is_left(self) -> Iterator[None]:
        """What cannot be written is kept, and what is to be done for it is said."""
        try:
            yield
        except UserError:
            pass
        except KeyboardInterrupt:
            self._refusal = "its end was not waited for"
            raise
        finally:
            if self._refusal and self._run.metrics:
                self._reported = False  # That it was being tried again is not the last word.
                self._report(f"the run could not be written whole: {self._refusal}{self._rest()}")

    def _wait(self, until: Callable[[], bool], seconds: float, late: str) -> None:
        """Take answers. Raises UserError if MLflow refuses, or it takes longer than so many seconds."""
        deadline = time.monotonic() + seconds
        with self._giving_up():
            while not until() and self._connection is not None:
                self._take_next(deadline - time.monotonic(), late)

    def _take_next(self, seconds: float, late: str) -> None:
        assert self._connection is not None
        reply = self._connection.receive(seconds)
        if reply is None:
            self._refusal = late
        else:
            self._take(reply)
        if self._refusal:
            raise UserError(self._refusal)

    def _take(self, reply: dict[str, Any]) -> None:
        """Act on an answer."""
        if reply["is"] == "started":
            self._run.id = reply["id"]
            self._ready = self._accepted = True
        elif reply["is"] == "refused":
            self._keep_process()
            self._refusal = refusal_of(self._store, reply, " the run").rstrip(".")
        elif reply["is"] == "failed":
            self._accepted = True
            self._report(f"not written, trying again until the run ends: {reply['message']}")
        elif reply["is"] == "gone":
            self._end_process()
            if self._restarts < RESTARTS and (self._accepted or reply["killed"]):
                return self._go_on()
            began = "has ended" if self._accepted else "ended before it began"
            told = f": {reply['message']}" if reply["message"] else ""
            self._reported, self._refusal = False, f"its process {began}{told}"
        elif reply["is"] == "ended":
            self._keep_process()
            if reply["registered"] and self._run.config.get("progress") != "none":
                with suppress(OSError):  # nobody reads any more
                    show(f"registered as {reply['registered']}")
            self._refusal = reply["message"]

    def _go_on(self) -> None:
        """Another process of MLflow's goes on with the run: what the first had not written is in the folder."""
        self._report("its process has ended; another one goes on")
        self._restarts += 1
        self._follow(fresh=False)
        if self._end is not None and self._connection is not None:
            self._connection.send(do="end", **self._end)

    def _rest(self) -> str:
        """What becomes of what was not written."""
        folder = shlex.quote(os.path.relpath(self._run.folder))
        return f". The rest is kept; to send it later: python -m gptlab sync {folder}"

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """End the MLflow process if a UserError passes: nothing more is logged."""
        try:
            yield
        except UserError:
            self._end_process()
            raise

    def _keep_process(self) -> None:
        """Leave the MLflow process, which is well, to the next run."""
        if self._connection is not None:
            connections.keep(self._connection)
        self._connection = None

    def _end_process(self) -> None:
        """At once, since it may be waiting for a server; making a store survives being killed."""
        if self._connection is not None:
            self._connection.close(0.0)
        self._connection = None

    def _report(self, message: str) -> None:
        """Say once that something is wrong: a store that stays away would fill the screen."""
        if not self._reported:
            show(as_called(f"mlflow: {self._store.shown}: {message}"), sys.stderr)
        self._reported = True


def _is_last(run: Run, step: int) -> bool:
    return bool(step == run.config["train"]["numSteps"])
