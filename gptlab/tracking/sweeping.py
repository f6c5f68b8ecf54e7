"""A sweep's side of MLflow, without loading it: what the process of MLflow is asked for a parent run.

Beside a run's own `Tracker`: these ask once and wait for the answer.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from gptlab.errors import UserError
from gptlab.runs.folder import SweepFolder
from gptlab.tracking import orphans
from gptlab.tracking.link import Link, Message, take_link, warm_up
from gptlab.tracking.parent import PARENT
from gptlab.tracking.store import WITHOUT, Store, check_server, check_store, find_store, write_store
from gptlab.tracking.tracker import command_typed

Settings = dict[str, Any]
OPENING_SECONDS = 60.0
NOTING_SECONDS = 60.0
CLOSING_SECONDS = 120.0


@dataclass(frozen=True)
class ParentRun:
    """The MLflow run that a sweep's jobs are children of."""

    store: Store
    folder: Path
    id: str

    def close(self) -> str:
        """Have MLflow know what the sweep's folder tells of its end; what went wrong, if anything."""
        return _asked(self.store, CLOSING_SECONDS, do="end_sweep", folder=str(self.folder))[1]

    def delete(self, children: list[str]) -> str:
        """Take it back, for a sweep that no job of began; what went wrong, if anything."""
        ids = [*children, self.id]
        return _asked(self.store, NOTING_SECONDS, do="delete_runs", run_ids=ids)[1]


def prepare() -> None:
    """Begin to load MLflow, in its process."""
    warm_up()


def open_parent(tracking: Settings, description: str, folder: SweepFolder) -> ParentRun:
    """Make the parent run of the sweep in `folder`, or open it again. Raises UserError if the store refuses, or does
    not answer."""
    store = find_store(tracking["uri"])
    check_store(store)
    if store.is_server:
        check_server(store)
    known = folder.identity()
    told = _told(description) | {key: known[key] for key in ("began", "key") if key in known}
    experiment = tracking["experimentName"]
    folder.update(**told, store=store.address, experiment=experiment, synced=False)
    found, error = _asked(store, OPENING_SECONDS, do="open_sweep", folder=str(folder.path.absolute()))
    if error:
        raise UserError(error)
    return ParentRun(store, folder.path, found)


def note_child(
    tracking: Settings,
    parent: str,
    folder: Path,
    name: str,
    config: Settings,
    status: str,
    reason: str,
    run_id: str = "",
) -> str:
    """Have MLflow know a job that ended before it began to train, or the run `run_id` as over; its id.

    Empty if the store does not take it: the job's record keeps the reason anyway.
    """
    try:
        store = find_store(tracking["uri"])
        told = {**_told(reason), "id": run_id, "config": config, "status": status, "reason": reason}
        told |= {
            "name": name,
            "folder": str(folder.absolute()),
            "tags": {PARENT: parent} if parent else {},
        }
        experiment = tracking["experimentName"]
        found, error = _asked(store, NOTING_SECONDS, do="note_child", experiment=experiment, told=told)
    except UserError as refusal:
        found, error = "", str(refusal)
    if error:
        print(f"mlflow: {name} is not noted there: {error}", file=sys.stderr, flush=True)
    return found


def _told(description: str) -> Settings:
    return {
        "description": description,
        "process": orphans.own_process(),
        "typed": command_typed(),
        "began": int(time.time() * 1000),
        "key": uuid4().hex,
    }


def _answer(timeout: float, **message: Any) -> tuple[Link, Message | None]:
    link = take_link()
    link.send(**message)
    return link, link.receive(timeout)


def _asked(store: Store, timeout: float, **message: Any) -> tuple[str, str]:
    """What MLflow's process answers: a run's id, and what went wrong; one of them is empty."""
    link, reply = _answer(timeout, store=write_store(store), **message)
    if reply is not None and reply["is"] == "gone" and reply["killed"]:
        link, reply = _answer(timeout, store=write_store(store), **message)  # of another process
    if reply is None or reply["is"] == "gone":
        link.close(0.0)
        reason = (
            f"does not answer within {timeout:g} s"
            if reply is None
            else f"cannot be asked: {reply['message']}"
        )
        return "", f"the MLflow store {store.shown} {reason}. {WITHOUT}"
    link.release()
    if reply["is"] == "refused":
        whose = "" if reply["user"] else f"the MLflow store {store.shown} refuses: "
        return "", f"{whose}{reply['message']}{'' if reply['user'] else f'. {WITHOUT}'}"
    return str(reply["id"]), ""
