"""A run that is not on this disk, fetched from the MLflow store that it was logged to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gptlab.checkpoint import CONFIG, TOKENIZER, WEIGHTS
from gptlab.errors import UserError
from gptlab.runs import no_run
from gptlab.tracking.link import ENVIRONMENT
from gptlab.tracking.store import check_server, find_store, open_store

ARTIFACTS = {CONFIG: CONFIG, TOKENIZER: TOKENIZER, f"weights/{WEIGHTS}": f"checkpoints/step-final/{WEIGHTS}"}


def download_run(run_id: str, uri: str | None, folder: Path) -> None:
    """Put a run's config, tokenizer and final weights into `folder`, as they lie in a run's folder.

    Raises UserError if there is no such run, or not all of it was logged. Makes no store.
    """
    store = find_store(uri)
    if store.database is not None and not store.database.exists():
        raise no_run(run_id, f", and no MLflow store {store.database}")
    if store.is_server:
        check_server(store)
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    client = open_store(store)
    from mlflow.exceptions import MlflowException

    try:
        client.get_run(run_id)
    except MlflowException:
        raise no_run(run_id, f" and in the MLflow store {store.shown}") from None
    for artifact, place in ARTIFACTS.items():
        try:
            found = client.download_artifacts(run_id, artifact, str(folder))
        except (MlflowException, OSError) as error:
            raise UserError(
                f"the run {run_id} of {store.shown} must have logged {artifact} to be sampled from, and it cannot "
                f"be read ({str(error).splitlines()[0]}). Did the run end? Try run=latest, or a run's folder."
            ) from None
        target = folder / place
        if Path(found) == target:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, target)
