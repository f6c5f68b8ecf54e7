"""`python -m gptlab send RUN_FOLDER`: what a run could not write to its MLflow store is written now."""

import os
from dataclasses import replace
from pathlib import Path

import yaml

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.files import write_json
from gptlab.runs.files import CONFIG, METRICS, RUN, read_identity
from gptlab.tracking.link import ENVIRONMENT
from gptlab.tracking.lock import alone
from gptlab.tracking.messages import read_store
from gptlab.tracking.recorder import Recorder
from gptlab.tracking.store import check_server, open_store
from gptlab.tracking.unsent import kept


def send(folder: Path) -> str:
    """Write what lies in the folder's unsent.jsonl, which is then gone; what to tell.

    What the store has already is not written again. Raises UserError for a folder that is no run's, a
    store that still does not answer, and what is still refused: that stays in the file.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"send needs a run's folder: {folder} has no {CONFIG}. Try python -m gptlab send runs/..."
        )
    lock = alone(folder)
    try:
        unsent = kept(folder)
        if unsent is None:
            refuse_unknown(folder)
            return f"{os.path.relpath(folder)} has nothing left to send"
        store = read_store(unsent.head["store"])
        if store.user and not store.password:
            store = replace(store, password=os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        if store.is_server:
            check_server(store)
        os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
        recorder = Recorder.going_on(open_store(store), folder, unsent)
        error = recorder.drain()
        recorder.keep_unsent()
        if recorder.run.id:
            _tell_id(folder, recorder.run.id)
    finally:
        lock.release()
    if error is not None:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"{store.shown} must take all that is sent, and did not ({reason}). The rest stays in {folder}: "
            "type the same again later."
        )
    registered = f"; registered as {recorder.registered}" if recorder.registered else ""
    return f"sent to {store.shown}: MLflow run {recorder.run.id}{registered}"


def refuse_unknown(folder: Path) -> None:
    """Raises UserError for a run that was killed before its store had a run for it: there is nothing to send it by."""
    identity = read_identity(folder)
    if is_tracked(folder) and identity.get("status") and not identity.get("id"):
        place = os.path.relpath(folder)
        raise UserError(
            f"{place} has no run in MLflow: its process was killed before the store had made one, and nothing was kept "
            f"to be sent. Its numbers are in {place}/{METRICS}."
        )


def is_tracked(folder: Path) -> bool:
    """Whether the run's config has it written to MLflow."""
    try:
        return bool(yaml.safe_load((folder / CONFIG).read_bytes())["tracking"]["name"] == "mlflow")
    except (yaml.YAMLError, LookupError, TypeError):
        return False


def _tell_id(folder: Path, run_id: str) -> None:
    """A run that the store never had has its id only now."""
    path = folder / RUN
    if path.is_file():
        content = strict_json.loads(path.read_text(encoding="utf-8"))
        if content.get("id") != run_id:
            write_json(path, {**content, "id": run_id})
