"""An MLflow run that goes on: opened again, and how far its metrics have come."""

from typing import TYPE_CHECKING

from gptlab.errors import UserError
from gptlab.tracking import orphans
from gptlab.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun


def existing_run(client: "MlflowClient", store: Store, run_id: str) -> "MlflowRun":
    """What MLflow knows of a run. Raises UserError if it is not there, or deleted."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"the MLflow run {run_id} must be in {store.shown} to be continued, and is not. Give the store "
            "that it was logged to with tracking.uri=, or go on without: tracking=none"
        ) from None
    if found.info.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow run {run_id} must not be deleted to be continued, and is. Restore it: "
            f"mlflow runs restore --run-id {run_id}"
        )
    return found


def take_over(client: "MlflowClient", found: "MlflowRun", description: str, process: str) -> None:
    """Set a run back to RUNNING, in the name of `process`.

    Raises UserError if it is being trained by another process of this host.
    """
    run_id, tags = found.info.run_id, found.data.tags
    owner = tags.get(orphans.PROCESS, "")
    pid = owner.partition(" ")[0]
    if (
        found.info.status == "RUNNING"
        and tags.get(orphans.HOST) == orphans.host()
        and owner not in (process, orphans.own_process())
        and orphans.lives(owner)
    ):
        raise UserError(f"the MLflow run {run_id} is being trained by process {pid}: end that one first.")
    # First the owner: a RUNNING run of a process that is gone would be closed as an orphan.
    for name, value in orphans.marks(process).items():
        client.set_tag(run_id, name, value)
    client.update_run(run_id, status="RUNNING")
    if "error" in tags:
        client.delete_tag(run_id, "error")
        client.set_tag(run_id, "mlflow.note.content", description)


def steps_of(found: "MlflowRun") -> dict[str, int]:
    """The largest step of each metric's key; MLflow keeps it at hand, whatever the length of the history."""
    return {metric.key: metric.step for metric in found.data._metric_objs}
