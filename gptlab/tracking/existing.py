"""A store that must be there already: what is only read must make none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gptlab.errors import UserError
from gptlab.tracking.link import ENVIRONMENT
from gptlab.tracking.store import Store, check_server, find_store, open_store
from gptlab.training.metric_rows import Metrics
from gptlab.training.smoothing import with_smoothed

if TYPE_CHECKING:
    from mlflow import MlflowClient


def existing_store(uri: str | None, sought: str) -> tuple[Store, MlflowClient]:
    """The store, opened; `sought` is what is looked for in it. Loads MLflow into this process.

    Raises UserError if there is no store, or it does not answer.
    """
    store = find_store(uri)
    if store.database is not None and not store.database.exists():
        raise UserError(
            f"'{sought}' is looked for in an MLflow store, and there is none at {store.database}. Run in the "
            "folder that it was made in, or name it with tracking.uri="
        )
    if store.is_server:
        check_server(store)
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    return store, open_store(store)


def metrics_in_store(run_id: str, uri: str | None) -> Metrics:
    """All that the run has logged, a row a step. Raises UserError if there is no such run. Makes no store."""
    store, client = existing_store(uri, run_id)
    from mlflow.exceptions import MlflowException

    rows: dict[int, dict[str, float]] = {}
    try:
        for name in client.get_run(run_id).data.metrics:
            for point in client.get_metric_history(run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the metrics of {run_id} in {store.shown} must be readable: {reason}") from None
    return with_smoothed(sorted(rows.items()))
