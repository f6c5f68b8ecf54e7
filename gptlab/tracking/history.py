"""The metrics of a run whose folder is not on this disk, read from the MLflow store."""

from __future__ import annotations

from gptlab.errors import UserError
from gptlab.tracking.existing import existing_store
from gptlab.training.metric_rows import Metrics
from gptlab.training.smoothing import with_smoothed


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
