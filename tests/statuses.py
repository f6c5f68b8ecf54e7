"""Whether MLflow tells of each run what its folder tells: asked after every test, whichever way its runs ended."""

import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptlab.runs.files import RUN
from gptlab.runs.run import INTERRUPTED
from gptlab.sweeps.record import FAILED, FINISHED, KILLED, PRUNED, RECORD, RUNNING
from gptlab.sweeps.sweep import SWEEP
from gptlab.tracking import orphans
from gptlab.tracking.connection import connections
from tests.processes import children

WAITING_SECONDS = 60.0  # that MLflow's processes may take to write what killed ones have left
OVER = (FINISHED, FAILED, KILLED)


@dataclass
class Stored:
    """A run as the store has it."""

    id: str
    name: str
    status: str
    ended: bool
    tags: dict[str, str] = field(default_factory=dict)


def check_statuses(folder: Path) -> None:
    """Hold every store below a test's folder against the folders of runs and sweeps beside it.

    AssertionError with all that differs. Waits for MLflow's processes that outlive those they write for,
    and ends those of this process if there was a sweep: what they do at their end counts as well.
    """
    for database in sorted(folder.rglob("mlflow.db")):
        if any(file.parent != folder for file in database.parent.rglob(SWEEP)):
            connections.close()
        runs = _ended(database)
        wrong = [*_among_themselves(runs), *_beside_folders(runs, database.parent)]
        assert not wrong, "\n".join([f"of {database}:", *wrong])


def stored_runs(database: Path) -> dict[str, Stored]:
    """Every run of the store that is not deleted, by its id."""
    if not database.is_file():
        return {}
    with closing(sqlite3.connect(database)) as store:
        try:
            rows = store.execute(
                "SELECT run_uuid, name, status, end_time FROM runs WHERE lifecycle_stage = 'active'"
            ).fetchall()
        except sqlite3.DatabaseError:  # no store: some tests ask what becomes of one that is broken
            return {}
        runs = {row[0]: Stored(*row[:3], ended=row[3] is not None) for row in rows}
        for run, key, value in store.execute("SELECT run_uuid, key, value FROM tags"):
            if run in runs:
                runs[run].tags[key] = value
    return runs


def _ended(database: Path) -> dict[str, Stored]:
    """The runs, once no process of MLflow's writes any more but those that wait for the next run of this one."""
    idle = {orphans.process(pid) for pid in children(os.getpid())}
    deadline = time.monotonic() + WAITING_SECONDS
    while True:
        runs = stored_runs(database)
        writers = {run.tags.get(orphans.WRITER, "") for run in runs.values()} - idle - {orphans.own_process()}
        writing = [writer for writer in writers if orphans.lives(writer)]
        if not writing:
            return stored_runs(database)
        assert time.monotonic() < deadline, f"still writing to {database}: {writing}"
        time.sleep(0.05)


def _among_themselves(runs: dict[str, Stored]) -> list[str]:
    """What contradicts itself, whatever the folders say."""
    wrong = []
    for run in runs.values():
        if orphans.WRITER not in run.tags:
            continue  # made by hand
        if run.ended != (run.status != RUNNING):
            wrong.append(f"{run.name} is {run.status}, and has {'an' if run.ended else 'no'} end")
        if run.status == FINISHED and run.tags.get("error") in (orphans.REASON, INTERRUPTED):
            wrong.append(f"{run.name} is FINISHED, and has the reason '{run.tags['error']}'")
    return wrong


def _beside_folders(runs: dict[str, Stored], root: Path) -> list[str]:
    """Where a folder tells of another end than the store."""
    wrong = []
    for file in root.rglob(SWEEP):
        sweep = _read(file)
        if sweep.get("id"):
            told = sweep["status"]
            wrong += _differs(runs, sweep["id"], file, (KILLED if told == RUNNING else told,))
    for file in root.rglob(RECORD):
        record, identity = _read(file), _read(file.with_name(RUN))
        run_id = record.get("runId") or identity.get("id")
        if run_id and identity.get("synced", True):  # else the store was away, and gets it later
            told = {RUNNING: KILLED, PRUNED: KILLED}.get(record["status"], record["status"])
            wrong += _differs(runs, run_id, file, (told,))
    for file in root.rglob(RUN):
        identity = _read(file)
        run_id, status = identity.get("id"), identity.get("status")
        alone = not file.with_name(RECORD).exists() and identity.get("synced", True)
        if run_id and status and alone:  # some tests make one by hand, without a status
            wrong += _differs(runs, run_id, file, (status,) if status in OVER else (FAILED, KILLED))
    return wrong


def _differs(runs: dict[str, Stored], run_id: str, file: Path, told: tuple[str, ...]) -> list[str]:
    if run_id not in runs:
        return []  # deleted, or in another store
    status = runs[run_id].status
    return (
        [] if status in told else [f"{runs[run_id].name} is {status}, and {file} tells {' or '.join(told)}"]
    )


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # some tests ask what becomes of a file that is broken
        return {}
    return found if isinstance(found, dict) else {}
