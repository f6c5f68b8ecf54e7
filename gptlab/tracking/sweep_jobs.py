"""The jobs of a sweep that are over, sent to MLflow whole and one after the other."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.runs.folder import OVER, RunFolder, runs_below
from gptlab.tracking.server import answers
from gptlab.tracking.store import Store, said
from gptlab.tracking.sync import Sync, alone

if TYPE_CHECKING:
    from mlflow import MlflowClient


def send_job(client: "MlflowClient", store: Store, folder: RunFolder, fresh: bool = False) -> None:
    """Send what the store lacks of a job, once no other process sends it.

    Raises UserError as `alone`, and whatever the store raises.
    """
    with alone(folder.path):
        if is_left(folder, store) and (error := Sync(client, store, folder, fresh).end()):
            raise error


def send_jobs(client: "MlflowClient", store: Store, sweep: Path, on_sent: Callable[[], None]) -> str:
    """Send those of a sweep's jobs that are over and not whole in the store; what to tell of those that failed."""
    first, failed = "", 0
    waiting = [folder for folder in runs_below(sweep) if is_left(folder, store)]
    for i, folder in enumerate(waiting):
        try:
            send_job(client, store, folder)
        except Exception as error:
            first, failed = first or said(error), failed + 1
            if store.is_server and not answers(store, 2.0):
                failed += len(waiting) - i - 1
                break
        on_sent()
    runs = "1 run" if failed == 1 else f"{failed} runs"
    return f"{runs} could not be written whole: {first}" if failed else ""


def is_left(folder: RunFolder, store: Store) -> bool:
    told = folder.identity()
    there = told.get("store") == store.address and told.get("status") in OVER
    return there and told.get("synced") is False
