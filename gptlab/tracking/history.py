"""The metrics of a run whose folder is not on this disk, read from the MLflow store."""

from __future__ import annotations

import os

from gptlab.errors import UserError
from gptlab.sweeps.record import Metrics
from gptlab.tracking.link import ENVIRONMENT
from gptlab.tracking.store import check_server, find_store, open_store


def metrics_in_store(run_id: str, uri: str | None) -> Metrics:
    """All that the run has logged, a row a step. Raises UserError if there is no such run. Makes no store."""
    store = find_store(uri)
    if store.database is not None and not store.database.exists():
        raise UserError(
            f"the metrics of {run_id} are looked for in an MLflow store: {store.database} is none."
        )
    if store.is_server:
        check_server(store)
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    from mlflow.exceptions import MlflowException

    client = open_store(store)
    rows: dict[int, dict[str, float]] = {}
    try:
        for name in client.get_run(run_id).data.metrics:
            for point in client.get_metric_history(run_id, name):
                rows.setdefault(point.step, {})[name] = point.value
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the metrics of {run_id} in {store.shown} must be readable: {reason}") from None
    return sorted(rows.items())
