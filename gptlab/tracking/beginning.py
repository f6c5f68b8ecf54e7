"""What a store must have, or must not have deleted, for a run to be written: asked before step 1, without MLflow."""

import os
import re
import sqlite3
from contextlib import closing
from urllib.parse import unquote, urlsplit

from gptlab.errors import UserError
from gptlab.tracking.store import Store

SHARED = "GPTLAB_ARTIFACTS"  # a folder in which any store may have files put
HERE = re.compile(r"localhost|127(\.\d+){3}|::1")


def check_place(store: Store, place: str) -> None:
    """Raises UserError for a store that has a run's files put where they do not belong.

    MLflow's client writes them to any path that the store names. Of a database that is beside it, or below the current
    folder; of a server on this machine anywhere; of another server nowhere here. Where it is to be otherwise, the user
    names the folder.
    """
    address = urlsplit(place)
    is_folder = address.scheme in ("", "file") or len(address.scheme) == 1  # a drive of Windows
    if not place or not is_folder or HERE.fullmatch(urlsplit(store.uri).hostname or ""):
        return
    folder = os.path.realpath(unquote(address.path))
    own = [] if store.is_server else [os.getcwd(), os.path.dirname(store.database or os.getcwd())]
    if any(is_below(folder, home) for home in (*own, os.environ.get(SHARED, "")) if home):
        return
    if store.is_server:
        raise UserError(
            f"the MLflow server at {store.shown} must take a run's files itself, and asks for them in {folder} on "
            f"this machine. Start it with --serve-artifacts; if it shares that folder, set {SHARED}={folder}"
        )
    raise UserError(
        f"the files of an experiment must lie beside the MLflow store: {store.shown} asks for them in {folder}, so "
        "it was moved or is somebody else's. Name another experiment with tracking.experimentName=; if that "
        f"folder is yours, set {SHARED}={folder}"
    )


def is_below(folder: str, home: str) -> bool:
    home = os.path.realpath(home)
    try:
        return os.path.commonpath([home, folder]) == home
    except ValueError:  # on another drive
        return False


def check_experiment(name: str, number: object, stage: object) -> None:
    """Raises UserError for an experiment that is deleted."""
    if stage != "active":
        raise UserError(
            f"the MLflow experiment '{name}' is deleted. Restore it (mlflow experiments restore -x {number}) or "
            "name another with tracking.experimentName="
        )


def check_run(store: Store, run_id: str, stage: object) -> None:
    """Raises UserError for a run that is deleted, or that the store has not: then it has no stage."""
    if stage is None:
        raise UserError(
            f"the MLflow run {run_id} is not in {store.shown}, so it cannot be continued. Give the store that it "
            "was logged to with tracking.uri=, or go on without MLflow: tracking=none"
        )
    if stage != "active":
        raise UserError(
            f"the MLflow run {run_id} is deleted, so it cannot be continued. Restore it: mlflow runs restore "
            f"--run-id {run_id}"
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
            wanted = (
                "SELECT experiment_id, lifecycle_stage, artifact_location FROM experiments WHERE name = ?"
            )
            known = connection.execute(wanted, [experiment]).fetchone()
            run = connection.execute(
                "SELECT lifecycle_stage FROM runs WHERE run_uuid = ?", [run_id]
            ).fetchone()
    except sqlite3.Error:
        return
    if known is not None:
        check_experiment(experiment, *known[:2])
        check_place(store, known[2] or "")
    if run_id:
        check_run(store, run_id, None if run is None else run[0])
