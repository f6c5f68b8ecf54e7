"""The parent run of a sweep in MLflow, and the children that never began to train.

First what the process that runs the sweep asks, once, and waits for the answer; then what MLflow's process does.
"""

import math
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from gptlab.errors import UserError
from gptlab.runs.files import is_of_sweep
from gptlab.runs.folder import OVER, RunFolder, SweepFolder
from gptlab.runs.run import FAILED
from gptlab.streams import show
from gptlab.tracking import left
from gptlab.tracking.beginning import check_database
from gptlab.tracking.connection import Connection, Message, connections
from gptlab.tracking.facts import (
    METRICS_A_BATCH,
    PARENT,
    TAG_LENGTH,
    begun_facts,
    clean_key,
    flat_params,
    log_params,
    show_as_table,
)
from gptlab.tracking.named_stores import check_named
from gptlab.tracking.opening import end_of, end_run, find_made_before, make_run, open_run, with_parent
from gptlab.tracking.run_ids import name_runs, name_runs_in
from gptlab.tracking.server import check_server
from gptlab.tracking.store import WITHOUT, Store, check_store, find_store, refusal_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

TABLE = "summary.json"
ASKING_SECONDS = 60.0
CLOSING_SECONDS = 120.0
ANSWERS = ("done", "refused", "gone")  # that end what was asked
Settings = dict[str, Any]
# Jobs that go on beside each other ask one process, whose answers do not say whose they are.
_asking = threading.RLock()


@dataclass(frozen=True)
class ParentRun:
    """The MLflow run that a sweep's jobs are children of.

    known: its id; empty where MLflow's process had not made it yet as the sweep began. waits: whether the command waits
    until MLflow has all.
    """

    store: Store
    folder: Path
    known: str
    waits: bool = False

    @property
    def id(self) -> str:
        """Once it is made, or refused: then it is empty."""
        if self.known:
            return self.known
        with _asking:
            if connections.of_sweep is not None:
                _take_owed(connections.of_sweep, ASKING_SECONDS)
            return SweepFolder(self.folder).id

    def settle(self) -> None:
        """Wait until MLflow has those of the jobs that are over, as far as it takes them."""
        _ask(self.store, CLOSING_SECONDS, do="settle")

    def close(self) -> str:
        """Have MLflow know what the sweep's folder tells of its end; what is not there then, if anything."""
        reply, error = _answer(
            self.store, CLOSING_SECONDS, do="end_sweep", folder=str(self.folder.absolute())
        )
        _let_go()
        return f"the summary is not on the parent run: {error}" if error else str(reply.get("left", ""))

    def leave(self) -> bool:
        """Leave that to MLflow's process, which outlives this command; False where it is to be waited for."""
        connection = connections.of_sweep
        if self.waits or not left.may_be_left() or connection is None or not connection.is_usable:
            return False
        note = left.note(self.folder, self.store.shown, connection.pid)
        if note is None:
            return False
        connections.of_sweep = None
        folder = str(self.folder.absolute())
        return left.hand_over(connection, note, do="end_sweep", store=asdict(self.store), folder=folder)

    def delete(self, children: list[str]) -> str:
        """Take it back, for a sweep that no job of began; what went wrong, if anything."""
        ids = [*children, *filter(None, [self.id])]
        error = _ask(self.store, ASKING_SECONDS, do="delete_runs", run_ids=ids)[1] if ids else ""
        _let_go()
        return error


def open_parent(tracking: Settings, description: str, folder: SweepFolder, waits: bool = True) -> ParentRun:
    """Make the parent run of the sweep in `folder`, or open it again.

    waits: until it is made. Without it that goes on while the first jobs are trained, if the store is a file: what can
    be wrong with one is seen without MLflow. Raises UserError if the store refuses, does not answer, or is not one that
    the user has named.
    """
    store = find_store(tracking["uri"])
    check_named(store)
    check_store(store)
    if store.is_server:
        check_server(store)
    told = {"description": description, "store": store.address, "experiment": tracking["experimentName"]}
    folder.update(**begun_facts(folder.identity()), **told, synced=False)
    asked = {"do": "open_sweep", "folder": str(folder.path.absolute())}
    if not waits and store.database is not None and not connections.has_sweep:
        check_database(store, tracking["experimentName"], "")
        connections.of_sweep = connections.take()
        connections.of_sweep.send(store=asdict(store), **asked)
        connections.of_sweep.owed += 1
        return ParentRun(store, folder.path, "", bool(tracking["wait"]))
    found, error = _ask(store, ASKING_SECONDS, **asked)
    if error:
        raise UserError(error)
    if not connections.has_sweep:
        connections.of_sweep = connections.take()
    return ParentRun(store, folder.path, found, bool(tracking["wait"]))


def _let_go() -> None:
    """Let other runs have the process that had a sweep."""
    connection, connections.of_sweep = connections.of_sweep, None
    if connection is not None and connection.is_usable:
        connections.keep(connection)


def note_child(
    tracking: Settings,
    parent: str | None,
    folder: Path,
    name: str,
    config: Settings,
    reason: str,
    run_id: str = "",
) -> str:
    """Have MLflow know a job that failed before it began to train, or that the run `run_id` has; its id.

    Empty if the store does not take it: the job's record keeps the reason anyway.
    """
    try:
        store = find_store(tracking["uri"])
        known = {"key": uuid5(NAMESPACE_URL, f"{parent} {folder.absolute()}").hex} | RunFolder(
            folder
        ).identity()
        told = begun_facts({"key": known["key"]}) | {"description": reason, "reason": reason}
        told |= {"id": run_id or known.get("id", ""), "config": config}
        told |= {
            "name": name,
            "folder": str(folder.absolute()),
            "tags": {} if parent is None else {PARENT: parent},
        }
        told["experiment"] = tracking["experimentName"]
        found, error = _ask(store, ASKING_SECONDS, do="note_child", told=told)
    except UserError as refusal:
        found, error = "", str(refusal)
    if error:
        show(f"mlflow: {name} is not noted there: {error}", sys.stderr)
    return found


def _ask(store: Store, timeout: float, **message: Any) -> tuple[str, str]:
    """What MLflow's process answers: a run's id, and what went wrong; one of them is empty."""
    reply, error = _answer(store, timeout, **message)
    return ("", error) if error else (str(reply["id"]), "")


def _answer(store: Store, timeout: float, **message: Any) -> tuple[Message, str]:
    """The answer of MLflow's process, of the sweep's if it has one, and what went wrong; one of them is empty."""
    with _asking:
        return _answered(store, timeout, message)


def _take_owed(connection: Connection, seconds: float) -> None:
    """Pass over the answers that were asked for and not waited for."""
    while connection.owed and (reply := connection.receive(seconds)) is not None:
        connection.owed -= reply["is"] in ANSWERS


def _answered(store: Store, timeout: float, message: Message) -> tuple[Message, str]:
    for _ in range(2):
        if connections.of_sweep is not None:
            _take_owed(connections.of_sweep, timeout)
        of_sweep = connections.of_sweep if connections.has_sweep else None
        connection = of_sweep or connections.take()
        connection.send(store=asdict(store), **message)
        # Others are of what it does meanwhile: jobs may be many.
        while (reply := connection.receive(timeout)) is not None and reply["is"] not in ANSWERS:
            pass
        if reply is None or reply["is"] != "gone" or not reply["killed"]:
            break  # else another process can be asked
    if reply is None or reply["is"] == "gone":
        connection.close(0.0)
        late = f"does not answer within {timeout:g} s"
        reason = late if reply is None else f"cannot be asked: {reply['message']}"
        return {}, f"the MLflow store {store.shown} {reason}. {WITHOUT}"
    if of_sweep is None:
        connections.keep(connection)
    return ({}, refusal_of(store, reply)) if reply["is"] == "refused" else (reply, "")


class ParentSync:
    """Brings the parent run of a sweep up to what its folder tells; as `Sync`, of a run's."""

    def __init__(self, client: "MlflowClient", store: Store, folder: SweepFolder) -> None:
        self.client = client
        self.store = store
        self.folder = folder
        self.process = str(folder.identity().get("process", ""))  # that runs the sweep

    def open(self) -> str:
        """Find the run in the store, or make it; its id. Raises UserError as `open_run`."""
        return open_run(self.client, self.store, self.folder)[0]

    registered = ""

    def end(self, seconds: float = math.inf) -> Exception | None:
        """Log what the sweep has shown, then close its run as the folder says it ended; the error, if any."""
        try:
            run_id, told = self.open(), self.folder.identity()
            close_parent(self.client, run_id, self.folder.path, told)
        except Exception as error:
            return error
        with suppress(OSError):
            expected = {"status": told.get("status"), "process": self.process}
            self.folder.update_if(expected, synced=told.get("status") in OVER)
        return None


def close_parent(client: "MlflowClient", run_id: str, folder: Path, told: dict[str, Any]) -> None:
    """Log what a sweep has shown and close its parent run. All of it may be done twice.

    told: status, and once the sweep has been summed up `shown`: metrics, series of them by step, tags, the folder
    of the best run, the table of jobs and the names of files.
    """
    from mlflow.entities import Metric, RunTag

    shown = told.get("shown", {})
    now = int(time.time() * 1000)
    # Always step 0: of two points at one step MLflow shows the later, whichever job was best before.
    metrics = [Metric(clean_key(name), value, now, 0) for name, value in shown.get("metrics", {}).items()]
    tags = dict(shown.get("tags", {}))
    if (best := shown.get("best")) and folder.resolve() in (place := (folder / best).resolve()).parents:
        tags["bestRun"] = RunFolder(place).id  # it may have one only by now
    for name, points in shown.get("series", {}).items():
        metrics += [Metric(clean_key(name), value, now, step) for step, value in points]
    made = [RunTag(clean_key(name), text[:TAG_LENGTH]) for name, text in tags.items() if text]
    for start in range(0, max(1, len(metrics)), METRICS_A_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_A_BATCH], synchronous=True)
    client.log_batch(run_id, tags=made, synchronous=True)
    for name in shown.get("files", ()):
        if is_of_sweep(name) and (file := folder / name).is_file():
            if name.endswith(".csv"):
                name_runs_in(file)
            client.log_artifact(run_id, str(file))
    if shown.get("table"):
        name_runs(folder, shown["table"]["columns"], shown["table"]["data"])
        client.log_dict(run_id, shown["table"], TABLE)
        show_as_table(client, run_id, TABLE)
    end_run(client, run_id, **end_of(told))


def delete_runs(client: "MlflowClient", run_ids: list[str]) -> str:
    """Delete runs, as the UI does; the id of the last."""
    for run_id in run_ids:
        client.set_terminated(run_id, FAILED)  # whoever restores it sees no run that goes on for ever
        client.delete_run(run_id)
    return run_ids[-1]


def log_child(client: "MlflowClient", store: Store, told: dict[str, Any]) -> str:
    """Have the run of a job that failed before it began: made and closed as told, with the reason; its id."""
    run_id = str(told["id"]) or find_made_before(client, store, told)
    if not run_id:
        folder = Path(told["folder"])
        run_id = make_run(client, store, folder, {**told, **with_parent(client, store, folder, told["tags"])})
        log_params(client, run_id, flat_params(told["config"]))
    end_run(client, run_id, FAILED, told["reason"])
    return run_id
