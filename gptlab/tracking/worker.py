"""The process that talks to MLflow: reads messages from its input, one JSON object a line.

Importing MLflow takes seconds of pure Python. In a thread it would take them from the training
process, whose Python runs one thread at a time (measured: 3-4 s a run); here it has its own core.
It outlives its parent for a moment, so that a run whose process is killed is closed as well.

What comes in: `follow` (a run's folder), `now`, `end`, `sweep` (close what others have left open), each with its
fields, and of a sweep of jobs `open_sweep`, `send_job` (one that is over), `settle` (answer once all before it is
done), `end_sweep`, `note_child`, `delete_runs`; what goes out: `started`,
`refused`, `failed`, `writing` (the end takes its time), `ended`, `done`.
See `Conversation`.
"""

import gc
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.files import Lock
from gptlab.runs.folder import RunFolder, SweepFolder
from gptlab.tracking.catch_up import catch_up_below, close_abandoned
from gptlab.tracking.connection import Message
from gptlab.tracking.left import end_note
from gptlab.tracking.parent import ParentSync, delete_runs, log_child
from gptlab.tracking.run_ids import name_jobs
from gptlab.tracking.store import Away, Store, connect, file_of, glance, open_store, said, settle
from gptlab.tracking.sweep_jobs import send_job, send_jobs
from gptlab.tracking.sync import Sync, alone, end_killed

if TYPE_CHECKING:
    from mlflow import MlflowClient

SYNC_SECONDS = 0.5
ALONE_SECONDS = 1800.0  # that it may write without the process that trains
NICENESS = 10  # training comes first where cores are few
LONGEST_PAUSE = 30.0  # between attempts while the store does not answer


class Conversation:
    """Answers messages until its input ends; sends what a run's folder has gained about twice a second.

    `inbox` gives messages, and None when the parent is gone; `reply` takes the answers.
    """

    def __init__(self, inbox: "queue.SimpleQueue[Message | None]", reply: Callable[[Message], None]) -> None:
        self.inbox = inbox
        self.reply = reply
        self.sync: Sync | None = None
        self._sync_at = float("inf")
        self._pause = 0.0
        self._lock: Lock | None = None
        # What is to be followed, as long as the store is away.
        self._unopened: tuple[Store, Path, bool] | None = None
        self._failure = ""
        self._reported_id = ""
        self.looking: threading.Thread | None = None
        self._file: tuple[int, int] | None = None  # that the store is, see store.file_of
        self._looked: set[Path] = set()  # folders below which runs that are over were looked for
        self.parent: ParentSync | None = None  # of a sweep that goes on
        self._away_until = 0.0  # no job of it is sent before: the store has not answered

    def hold(self) -> None:
        """Answer every message; return when the parent is gone."""
        while True:
            try:
                message = self.inbox.get(timeout=min(max(0.0, self._sync_at - time.monotonic()), 3600.0))
            except queue.Empty:
                self._send()
                with suppress(Exception):  # whoever needs it says what is wrong
                    load_for_end()
                continue
            if message is None:
                for sync in (self.sync, self.parent):
                    if sync is not None:
                        end_abandoned(sync)
                self._unlock()
                return
            fields = {name: value for name, value in message.items() if name != "do"}
            getattr(self, f"_{message['do']}")(**fields)
            if time.monotonic() >= self._sync_at:
                self._send()

    def _follow(self, store: Message, folder: str, fresh: bool) -> None:
        """Have the store follow what the folder of a run tells from now on."""
        self._pause, self._reported_id, self.sync, self._failure = 0.0, "", None, ""
        self._unlock()
        place = Store(**store)
        self._unopened = (place, Path(folder), fresh)
        # A short run is over with the first sending.
        self._send()
        sync = self.sync
        if sync is None or self._unopened is not None:
            return
        try:
            if glance(place, sync.run.id)[1]:
                experiment = sync.client.get_run(sync.run.id).info.experiment_id
                close_abandoned(sync.client, place, [experiment])
        except Exception as error:
            self._failed(error)

    def _open(self, place: Store, path: Path, fresh: bool) -> None:
        """Open the run of a folder, unless it is refused; a store that is away is asked again."""
        try:
            if self.sync is None:
                client = connect(place) if place.is_server else open_store(place)
                self._file = file_of(place)
                if self._lock is None:
                    self._lock = alone(path)
                still = partial(self.reply, {"is": "writing"})
                self.sync = Sync(client, place, RunFolder(path), fresh, on_written=still)
            self.sync.open()
        except Exception as error:
            if not isinstance(error, UserError) or isinstance(error, Away):
                return self._retry(error)
            self.sync = self._unopened = None
            self._unlock()
            self._failure = str(error).rstrip(".")
            self.reply({"is": "refused", "message": str(error), "user": True})
        else:
            self._unopened = None
            self._report_id(self.sync)
            self._look_for_folders(self.sync)

    def _look_for_folders(self, sync: Sync) -> None:
        """Of runs that are over, and that the processes which wrote them could not end."""
        root = Path.cwd() / "runs"
        if root not in self._looked:
            self._looked.add(root)
            # Beside all else: there may be thousands of folders, and nobody waits for what is in them.
            work = partial(catch_up_below, sync.client, sync.store, root)
            self.looking = threading.Thread(target=work, name="catch-up", daemon=True)
            self.looking.start()

    def _now(self) -> None:
        """After the last step, while the run is saved and looked into, and nobody waits for its end yet."""
        if self._pause == 0.0:
            self._sync_at = 0.0

    def _end(self, status: str = "", reason: str = "", note: str = "") -> None:
        """The run is over: as its folder says or, where that keeps nothing of it, as the message does.

        note: of `left`, where nobody waits for the answer.
        """
        if self.sync is None and self._unopened is not None:
            self._send()
            if self.sync is None and self._unopened is None:
                return self._note_end(note)  # it is refused
        if self.sync is not None:
            self._check_file(self.sync.store, self.sync)
        sync, self.sync, self._unopened = self.sync, None, None
        self._sync_at = float("inf")
        if sync is None:
            self._unlock()
            self._note_end(note)
            self.reply({"is": "ended", "message": self._failure, "registered": ""})
            return
        self.reply({"is": "writing"})
        error = sync.close(status, reason) if status else sync.end()
        settle(sync.store)
        self._unlock()
        self._report_id(sync)
        self._failure = "" if error is None else said(error)
        self._note_end(note)
        self.reply({"is": "ended", "message": self._failure, "registered": sync.uploads.registered})

    def _note_end(self, note: str) -> None:
        if note:
            end_note(Path(note), self._failure)

    def _sweep(self, store: Message) -> None:
        def work(client: "MlflowClient", place: Store) -> Message:
            ids = [experiment.experiment_id for experiment in client.search_experiments()]
            return {"id": " ".join(close_abandoned(client, place, ids))}

        self._do(store, work)

    def _open_sweep(self, store: Message, folder: str) -> None:
        """Have the parent run of a sweep, which is this process's until `end_sweep`."""

        def work(client: "MlflowClient", place: Store) -> Message:
            self._file = file_of(place)
            self.parent = ParentSync(client, place, SweepFolder(Path(folder)))
            return {"id": self.parent.open()}

        self._do(store, work)

    def _send_job(self, store: Message, folder: str, fresh: bool) -> None:
        """Send a job that is over. What fails is tried again at the end of the sweep, which tells of it."""
        place = Store(**store)
        self._check_file(place)
        if time.monotonic() >= self._away_until:
            try:
                send_job(connect(place), place, RunFolder(Path(folder)), fresh)
            except Exception:
                self._away_until = time.monotonic() + LONGEST_PAUSE
        self._still()

    def _settle(self, store: Message) -> None:
        """Say when all is sent that was to be before."""
        self._do(store, lambda client, place: {"id": ""})

    def _end_sweep(self, store: Message, folder: str, note: str = "") -> None:
        """note: as of `_end`."""
        self.parent = None
        path = Path(folder)

        def work(client: "MlflowClient", place: Store) -> Message:
            with alone(path):
                left = send_jobs(client, place, path, self._still)
                name_jobs(path)
                sync = ParentSync(client, place, SweepFolder(path))
                # Jobs whose processes were killed, that of MLflow with them: a launcher may do so as it gives up.
                close_abandoned(client, place, [client.get_run(sync.open()).info.experiment_id])
                if error := sync.end():
                    raise error
                settle(place)
            return {"id": sync.folder.id, "left": left}

        self._failure = self._do(store, work)
        self._note_end(note)

    def _still(self) -> None:
        self.reply({"is": "writing"})

    def _note_child(self, store: Message, told: Message) -> None:
        self._do(store, lambda client, place: {"id": log_child(client, place, told)})

    def _delete_runs(self, store: Message, run_ids: list[str]) -> None:
        self.parent = None
        self._do(store, lambda client, place: {"id": delete_runs(client, run_ids)})

    def _do(self, store: Message, work: Callable[["MlflowClient", Store], Message]) -> str:
        """Do it in a store and tell of which run it was, or why it could not be done; what went wrong, if anything."""
        try:
            place = Store(**store)
            done = work(open_store(place), place)
        except Exception as error:
            self.reply({"is": "refused", "message": said(error), "user": isinstance(error, UserError)})
            return said(error)
        self.reply({"is": "done", **done})
        return str(done.get("left", ""))

    def _send(self) -> None:
        self._sync_at = float("inf")
        if self._unopened is not None:
            self._open(*self._unopened)
        if self.sync is None or self._unopened is not None:
            return
        self._check_file(self.sync.store, self.sync)
        try:
            self.sync.send()
            self._pause, self._sync_at = 0.0, time.monotonic() + SYNC_SECONDS
        except Exception as error:
            self._retry(error)
        self._report_id(self.sync)

    def _check_file(self, store: Store, sync: Sync | None = None) -> None:
        """End this process if the file of the store was removed or replaced: it would write to what nobody can open.

        The next one makes the run again, in the store that has that name by then; its folder has all of it.
        """
        if file_of(store) != self._file:
            if sync is not None:
                with suppress(OSError):
                    sync.folder.update_if({"process": sync.process}, id="")
            self.reply(
                {"is": "failed", "message": "the store was removed or replaced while it was written to"}
            )
            raise SystemExit("the store is gone")

    def _retry(self, error: Exception) -> None:
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or SYNC_SECONDS)
        self._sync_at = time.monotonic() + self._pause
        self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._failure = said(error)
        self.reply({"is": "failed", "message": self._failure})

    def _report_id(self, sync: Sync) -> None:
        """Tell of the run once it is made: at first the store may not have answered."""
        if sync.run.id != self._reported_id:
            self._reported_id = sync.run.id
            self.reply({"is": "started", "id": sync.run.id})

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
        self._lock = None


def end_abandoned(sync: Sync | ParentSync) -> None:
    """The process that trains is gone; unless another one has taken the run over, it ends here."""
    with suppress(OSError):
        end_killed(sync.folder, sync.process)
    if sync.folder.identity().get("process") == sync.process:
        sync.end()
        settle(sync.store)


@cache
def load_for_end() -> None:
    """Load what the pictures and the model need, while there is time: somebody waits when a run is over."""
    from PIL import Image

    from gptlab.inspection.pictures import attention_figure
    from gptlab.tracking import logged_model  # noqa: F401
    from gptlab.training.figures import loss_figure

    # The first picture of its kind takes matplotlib twice as long as the next.
    loss_figure({"train/loss": [(1, 1.0)]}, {}, "title").png()
    attention_figure(np.eye(2)[None, None], ["a", "b"], "title", [0], [0]).png()
    Image.init()  # all formats: MLflow writes a picture as WebP as well
    # What was loaded stays: one look of Python's through it, for what could be thrown away, takes 0.1 s.
    gc.freeze()


def main() -> None:
    """Hold the conversation over standard input and output."""
    os.nice(NICENESS)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What MLflow, Alembic, Git and warnings would print, from C code too, goes nowhere.
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    inbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read, args=(sys.stdin, inbox, busy), daemon=True).start()

    def reply(message: Message) -> None:
        if message["is"] in ("refused", "ended", "done") and conversation.parent is None:
            busy.clear()
        with suppress(BrokenPipeError):  # The parent is gone; the end of the input says so as well.
            print(strict_json.dumps(message), file=replies, flush=True)

    conversation = Conversation(inbox, reply)
    try:
        # What the first message needs, and most of the time that it takes.
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

        conversation.hold()
    except BaseException as error:
        reply({"is": "gone", "message": repr(error), "killed": False})
        os._exit(1)
    os._exit(0)  # Nothing is left to write: skip the second that taking down MLflow's modules costs.


def _read(lines: TextIO, inbox: "queue.SimpleQueue[Message | None]", busy: threading.Event) -> None:
    for line in lines:
        busy.set()
        inbox.put(strict_json.loads(line))
    if not busy.is_set():
        os._exit(0)  # at once, also in the midst of the import
    # A server that answers a byte now and then would keep this process for ever.
    last = threading.Timer(ALONE_SECONDS, os._exit, [1])
    last.daemon = True
    last.start()
    inbox.put(None)
