"""What a store must have, or must not have deleted, for a run to be written: asked before step 1, without MLflow."""

import os
import re
import sqlite3
from contextlib import closing
from urllib.parse import unquote, urlsplit

from gptlab.errors import UserError
from gptlab.tracking.store import Store

SHARED = "GPTLAB_ARTIFACTS"  # a folder of this machine in which a server elsewhere may have files put
HERE = re.compile(r"localhost|127(\.\d+){3}|::1")


def check_place(store: Store, place: str) -> None:
    """Raises UserError for a server of another machine that has a run's files put into a folder of this one.

    MLflow's client would write them to any path that the answer names. Where both machines share a folder, the user
    names it.
    """
    address = urlsplit(place)
    is_folder = address.scheme in ("", "file") or len(address.scheme) == 1  # a drive of Windows
    if (
        not store.is_server
        or not place
        or not is_folder
        or HERE.fullmatch(urlsplit(store.uri).hostname or "")
    ):
        return
    folder, shared = os.path.realpath(unquote(address.path)), os.environ.get(SHARED, "")
    if shared and os.path.commonpath([os.path.realpath(shared), folder]) == os.path.realpath(shared):
        return
    raise UserError(
        f"the MLflow server at {store.shown} must take a run's files itself, and wants them put into {folder} of this "
        f"machine. Start it with --serve-artifacts; if it shares that folder, set {SHARED}={folder}"
    )


def check_experiment(name: str, number: object, stage: object) -> None:
    """Raises UserError for an experiment that is deleted."""
    if stage != "active":
        raise UserError(
            f"the MLflow experiment '{name}' must not be deleted, and is. Restore it (mlflow experiments "
            f"restore -x {number}) or name another with tracking.experimentName="
        )


def check_run(store: Store, run_id: str, stage: object) -> None:
    """Raises UserError for a run that is deleted, or that the store has not: then it has no stage."""
    if stage is None:
        raise UserError(
            f"the MLflow run {run_id} must be in {store.shown} to be continued, and is not. Give the store "
            "that it was logged to with tracking.uri=, or go on without: tracking=none"
        )
    if stage != "active":
        raise UserError(
            f"the MLflow run {run_id} must not be deleted to be continued, and is. Restore it: "
            f"mlflow runs restore --run-id {run_id}"
        )


def check_database(store: Store, experiment: str, run_id: str) -> None:
    """Raises UserError if an SQLite store has deleted the experiment or the run `run_id`, or has no such run.

    A file that is not there has no runs; of another kind of database nothing is known here.
    """
    if store.database is None:
        return
    if not store.database.exists():
        if run_id:
            check_run(store, run_id, None)
        return
    # Queries this plain outlive changes of the schema; if not, MLflow says later what is wrong.
    try:
        with closing(sqlite3.connect(store.database, timeout=5)) as connection:
            wanted = "SELECT experiment_id, lifecycle_stage FROM experiments WHERE name = ?"
            known = connection.execute(wanted, [experiment]).fetchone()
            run = connection.execute(
                "SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", [run_id]
            ).fetchone()
    except sqlite3.Error:
        return
    if known is not None:
        check_experiment(experiment, *known)
    if run_id:
        check_run(store, run_id, None if run is None else run[0])
