"""The MLflow run of a folder: made, or found again, how far its metrics have come, and how it ends."""

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError
from gptlab.runs.folder import OVER, ToldFolder, check_kinds
from gptlab.runs.inspected import sweep_over
from gptlab.runs.run import INTERRUPTED, KILLED
from gptlab.tracking import orphans
from gptlab.tracking.beginning import check_experiment, check_place, check_run
from gptlab.tracking.facts import KEY, PARENT, TAG_LENGTH, tags_of
from gptlab.tracking.store import Away, Store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

LONGEST_FOLDER = 200  # letters of a name; most disks take 255
PARENT_SECONDS = 5.0  # that a job's run waits for the run of its sweep, which another process makes
# What a folder must tell of itself to be sent.
SENT = {
    **dict.fromkeys(("store", "experiment", "process", "typed", "description", "name"), str),
    "began": int,
}


def open_run(
    client: "MlflowClient", store: Store, folder: ToldFolder, fresh: bool = False
) -> "tuple[str, MlflowRun | None]":
    """The id of the run that a folder tells of, which is made if there is none, and what MLflow knew of it before.

    fresh: nobody has tried to make it before. One that goes on is set back to RUNNING. Raises UserError if the
    experiment is deleted, or keeps its artifacts where this store cannot write; if the run to continue is not there,
    deleted, or still being trained.
    """
    told = folder.identity()
    run_id = folder.id or ("" if fresh else find_made_before(client, store, told))
    found = find_run(client, store, run_id) if run_id else None
    if found is None and run_id and told.get("status") not in OVER:
        check_run(store, run_id, None)
    made: dict[str, Any] = {}
    if found is None:  # also of a run that is over, and that a store which was there before had
        made = with_parent(client, store, folder.path, told.get("tags", {}))
        run_id = make_run(client, store, folder.path, {**told, **made})
    elif told.get("status") not in OVER:
        take_over(client, found, told["description"], told["process"])
    if folder.id != run_id:
        with suppress(OSError):  # a full disk; or of a run that took no step nothing is left
            folder.update(id=run_id, **made)
    return run_id, found


def with_parent(client: "MlflowClient", store: Store, folder: Path, tags: dict[str, str]) -> dict[str, Any]:
    """`{"tags": ...}` with the run of the sweep over a job's folder, where the job began before it was made; else
    nothing. Raises Away while another process still makes it, and as `open_run` where that is to be done here."""
    sweep = sweep_over(folder, deepest=None) if tags.get(PARENT) == "" else None
    if sweep is None:
        return {}
    until = time.monotonic() + PARENT_SECONDS
    while not sweep.id:
        told = sweep.identity()
        check_kinds(told, SENT, sweep.path / sweep.FILE)
        if told.get("status") in OVER or orphans.is_gone(told["process"]):
            open_run(client, store, sweep)
        elif time.monotonic() > until:
            raise Away("the run of its sweep is not there yet")
        else:
            time.sleep(0.1)
    return {"tags": {**tags, PARENT: sweep.id}}


def make_run(client: "MlflowClient", store: Store, folder: Path, told: dict[str, Any]) -> str:
    """A run as its folder tells of it; its id."""
    experiment, tags = experiment_id(client, store, told["experiment"]), tags_of(folder, told)
    made = client.create_run(experiment, start_time=told["began"], run_name=told["name"], tags=tags)
    if not made.info.run_id:
        raise Away(f"{store.shown} does not describe the run that it has made: it is not an MLflow server")
    check_place(store, made.info.artifact_uri)
    return str(made.info.run_id)


def find_made_before(client: "MlflowClient", store: Store, told: dict[str, Any]) -> str:
    """The run that was made of a folder by a process that was killed before it could say so."""
    if not (key := told.get("key", "")):
        return ""
    experiment = experiment_id(client, store, told["experiment"])
    found = client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=1)
    return str(found[0].info.run_id) if found else ""


def find_run(client: "MlflowClient", store: Store, run_id: str) -> "MlflowRun | None":
    """What MLflow knows of a run; None if it has none. Raises UserError if it is deleted, Away for an odd answer."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if found.info.run_id != run_id:
        raise Away(
            f"{store.shown} was asked for the run {run_id} and describes another: it is not an MLflow server"
        )
    check_run(store, run_id, found.info.lifecycle_stage)
    check_place(store, found.info.artifact_uri)
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
    if experiment.name != name:
        raise Away(f"{store.shown} does not describe the experiment '{name}': it is not an MLflow server")
    check_experiment(name, experiment.experiment_id, experiment.lifecycle_stage)
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
    # MLflow's own folders are numbers; a readable name serves whoever looks into the folder. One that begins with
    # dots would be hidden, or lead out of it.
    return f"{store.artifacts}/{re.sub(r'^[.]+|[^A-Za-z0-9._-]', '_', name)[:LONGEST_FOLDER]}"


def end_of(told: dict[str, Any]) -> dict[str, Any]:
    """How a run has ended of which its folder tells this. One that goes on is taken for killed."""
    status = told.get("status")
    if status not in OVER:
        return {"status": KILLED, "reason": orphans.REASON}
    reason = told.get("reason") or told.get("diverged") or ""
    return {"status": status, "reason": reason, "ended": told.get("ended")}


def end_run(
    client: "MlflowClient", run_id: str, status: str, reason: str = "", ended: int | None = None
) -> None:
    """Close a run, with the reason; one without was not killed, though its process may have seemed gone meanwhile.

    Raises Away if the store does not say so then: something else may answer for it.
    """
    if reason:
        client.set_tag(run_id, "error", reason[:TAG_LENGTH])
    elif client.get_run(run_id).data.tags.get("error") in (orphans.REASON, INTERRUPTED):
        client.delete_tag(run_id, "error")
    client.set_terminated(run_id, status, end_time=ended)
    now = client.get_run(run_id).info
    if (now.run_id, now.status) != (run_id, status):
        raise Away(f"it has not kept the run's status, {status}: what answers is not an MLflow server")
