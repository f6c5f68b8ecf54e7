"""The parent run of a sweep in MLflow, and the children that never began to train. Called in MLflow's process."""

import math
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.runs.folder import OVER, RunFolder, SweepFolder
from gptlab.runs.run import INTERRUPTED, KILLED
from gptlab.tracking.facts import TAG_LENGTH, clean_key, flat_params, tags_of
from gptlab.tracking.opening import experiment_id, open_run
from gptlab.tracking.orphans import REASON
from gptlab.tracking.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARENT = "mlflow.parentRunId"
PARAMS_A_BATCH = 100  # MLflow's limit
TABLE = "summary.json"


class ParentSync:
    """Brings the parent run of a sweep up to what its folder tells; as `Sync`, of a run's."""

    def __init__(self, client: "MlflowClient", store: Store, folder: SweepFolder) -> None:
        self.client = client
        self.store = store
        self.folder = folder
        self.process = str(folder.identity().get("process", ""))  # that runs the sweep

    def open(self) -> str:
        """Find the run in the store, or make it; its id. Raises UserError as `open_run`."""
        return open_run(self.client, self.store, self.folder)[0]

    registered = ""

    def end(self, seconds: float = math.inf) -> Exception | None:
        """Log what the sweep has shown, then close its run as the folder says it ended; the error, if any."""
        try:
            run_id, told = self.open(), self.folder.identity()
            close_parent(self.client, run_id, self.folder.path, told)
        except Exception as error:
            return error
        with suppress(OSError):
            expected = {"status": told.get("status"), "process": self.process}
            self.folder.update_if(expected, synced=told.get("status") in OVER)
        return None


def close_parent(client: "MlflowClient", run_id: str, folder: Path, told: dict[str, Any]) -> None:
    """Log what a sweep has shown and close its parent run. All of it may be done twice.

    told: status, and once the sweep has been summed up `shown`: metrics, tags, the folder of the best run, the table of
    jobs and the names of files.
    """
    from mlflow.entities import Metric, RunTag

    shown = told.get("shown", {})
    now = int(time.time() * 1000)
    # Always step 0: of two points at one step MLflow shows the later, whichever job was best before.
    metrics = [Metric(clean_key(name), value, now, 0) for name, value in shown.get("metrics", {}).items()]
    tags = dict(shown.get("tags", {}))
    if best := shown.get("best"):
        tags["bestRun"] = RunFolder(folder / best).id  # it may have one only by now
    made = [RunTag(clean_key(name), text[:TAG_LENGTH]) for name, text in tags.items() if text]
    client.log_batch(run_id, metrics=metrics, tags=made, synchronous=True)
    for name in shown.get("files", ()):
        if (file := folder / name).is_file():
            client.log_artifact(run_id, str(file))
    if shown.get("table"):
        client.log_dict(run_id, shown["table"], TABLE)
        # What makes the UI show it as a table, see Uploads.
        client.set_tag(
            run_id, "mlflow.loggedArtifacts", strict_json.dumps([{"path": TABLE, "type": "table"}])
        )
    status = told.get("status")
    if status in OVER:
        forget_kill(client, run_id)
    else:
        status = KILLED
    if reason := told.get("reason", "") if told.get("status") in OVER else REASON:
        client.set_tag(run_id, "error", reason[:TAG_LENGTH])
    client.set_terminated(run_id, status)


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
    made = client.create_run(
        experiment_id(client, store, experiment),
        start_time=told["began"],
        run_name=told["name"],
        tags=tags_of(Path(told["folder"]), told),
    )
    return str(made.info.run_id)
