"""The parent run of a sweep in MLflow, and the children that never began to train. Called in MLflow's process."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.runs.run import INTERRUPTED
from gptlab.tracking.experiment import experiment_id
from gptlab.tracking.facts import TAG_LENGTH, clean_key, flat_params, user
from gptlab.tracking.orphans import REASON, marks
from gptlab.tracking.resuming import existing_run, take_over
from gptlab.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
PARAMS_A_BATCH = 100  # MLflow's limit
TABLE = "summary.json"


def open_parent(client: "MlflowClient", store: Store, experiment: str, told: dict[str, Any]) -> str:
    """Make the parent run that `told` describes, or open it again if it has an id; its id.

    Raises UserError if it is to be opened again and is not there, or belongs to a process that lives.
    """
    if told["id"]:
        found = existing_run(client, store, told["id"])
        take_over(client, found, told["description"], told["process"])
        return str(told["id"])
    return _made(client, store, experiment, told)


def close_parent(client: "MlflowClient", run_id: str, told: dict[str, Any]) -> str:
    """Log what a sweep has shown, then close its parent run; its id. All of it may be done twice.

    told: status, tags; metrics, table of jobs, folder and names of the files in it, each if there is any.
    """
    from mlflow.entities import Metric, RunTag

    now = int(time.time() * 1000)
    # Always step 0: of two points at one step MLflow shows the later, whichever job was best before.
    metrics = [Metric(clean_key(name), value, now, 0) for name, value in told.get("metrics", {}).items()]
    tags = [RunTag(clean_key(name), text[:TAG_LENGTH]) for name, text in told["tags"].items()]
    client.log_batch(run_id, metrics=metrics, tags=tags, synchronous=True)
    forget_kill(client, run_id)
    for name in told.get("files", ()):
        if (file := Path(told["folder"]) / name).is_file():
            client.log_artifact(run_id, str(file))
    if told.get("table"):
        client.log_dict(run_id, told["table"], TABLE)
        # What makes the UI show it as a table, see Writer.
        client.set_tag(
            run_id, "mlflow.loggedArtifacts", strict_json.dumps([{"path": TABLE, "type": "table"}])
        )
    client.set_terminated(run_id, told["status"])
    return run_id


def delete_runs(client: "MlflowClient", run_ids: list[str]) -> str:
    """Delete runs, as the UI does; the id of the last."""
    for run_id in run_ids:
        client.set_terminated(run_id, "FAILED")  # whoever restores it sees no run that goes on for ever
        client.delete_run(run_id)
    return run_ids[-1]


def note_child(client: "MlflowClient", store: Store, experiment: str, told: dict[str, Any]) -> str:
    """Have the run of a job that ended before it began: made and closed as told, with the reason; its id."""
    from mlflow.entities import Param

    run_id = str(told["id"]) or _made(client, store, experiment, told)
    params = [Param(key, value) for key, value in flat_params(told["config"]).items()]
    if not told["id"]:
        for first in range(0, len(params), PARAMS_A_BATCH):
            client.log_batch(run_id, params=params[first : first + PARAMS_A_BATCH], synchronous=True)
    if told["reason"]:
        client.set_tag(run_id, "error", told["reason"][:TAG_LENGTH])
    else:
        forget_kill(client, run_id)
    client.set_terminated(run_id, told["status"])
    return run_id


def forget_kill(client: "MlflowClient", run_id: str) -> None:
    """A run that has ended was not killed, though its process may have seemed gone meanwhile."""
    if client.get_run(run_id).data.tags.get("error") in (REASON, INTERRUPTED):
        client.delete_tag(run_id, "error")


def _made(client: "MlflowClient", store: Store, experiment: str, told: dict[str, Any]) -> str:
    tags = {
        "mlflow.note.content": told["description"],
        "mlflow.user": user(),
        "mlflow.source.name": told["command"],
        "mlflow.source.type": "LOCAL",
        **told["tags"],
        **marks(told["process"]),
    }
    made = client.create_run(
        experiment_id(client, store, experiment),
        start_time=told["began"],
        run_name=told["name"],
        tags={clean_key(name): text[:TAG_LENGTH] for name, text in tags.items() if text},
    )
    return str(made.info.run_id)
