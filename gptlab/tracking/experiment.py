"""The MLflow experiment that a run belongs to: found by its name, or made."""

import re
from typing import TYPE_CHECKING

from gptlab.errors import UserError
from gptlab.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient


def experiment_id(client: "MlflowClient", store: Store, name: str) -> str:
    """The id of the experiment `name`, which is made if there is none.

    Raises UserError if it is deleted, or keeps its artifacts where this store cannot write.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, artifact_location=_artifact_location(store, name))
        except Exception:
            # Another process may have made it since; if not, this is the error to show.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow experiment '{name}' must not be deleted, and is. Restore it (mlflow experiments "
            f"restore -x {experiment.experiment_id}) or name another with tracking.experimentName="
        )
    if experiment.artifact_location.startswith("mlflow-artifacts:") and store.artifacts:
        raise UserError(
            f"the MLflow experiment '{name}' was made by an MLflow server and keeps its artifacts behind "
            "it. Name another with tracking.experimentName=, or start the server and log to it: "
            "tracking.uri=http://127.0.0.1:5000"
        )
    return str(experiment.experiment_id)


def _artifact_location(store: Store, name: str) -> str | None:
    if store.artifacts is None:
        return None
    # MLflow's own folders are numbers; a readable name serves whoever looks into the folder.
    return f"{store.artifacts}/{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
