"""Runs that are over and that MLflow has not whole: `python -m gptlab sync RUN_FOLDER`, and what a next run finds.

Also those of an earlier gptlab, which kept in unsent.jsonl what it could not send. Of that only the first line counts:
the rest is in the folder's other files.
"""

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab import strict_json
from gptlab.config.addresses import join_address
from gptlab.errors import UserError
from gptlab.files import Busy, lock
from gptlab.runs.config_file import read_config
from gptlab.runs.files import CONFIG, METRICS, SWEEP, check_leads_nowhere
from gptlab.runs.folder import OVER, RunFolder, SweepFolder, ToldFolder, check_kinds, lines_of, runs_below
from gptlab.runs.run import KILLED, STARTING
from gptlab.tracking import orphans
from gptlab.tracking.download import open_here
from gptlab.tracking.named_stores import check_named
from gptlab.tracking.opening import SENT
from gptlab.tracking.parent import ParentSync
from gptlab.tracking.server import in_thread
from gptlab.tracking.store import Store, find_store, said
from gptlab.tracking.sync import Sync, alone, end_killed

if TYPE_CHECKING:
    from mlflow import MlflowClient

UNSENT = "unsent.jsonl"
SENDING_SECONDS = 3600.0  # that the verb `sync` waits for a store
FORMAT = 1


def sync_folder(path: Path, uri: str = "") -> str:
    """Send what an MLflow store lacks of a run that is over, or of a sweep and its runs; what to tell.

    uri: the store, if it is not to be the one that the folder names. Raises UserError for a folder that is neither's,
    one that is being trained, a store that does not answer, or that only the folder names, and what is refused: all of
    it stays in the folder.
    """
    if (path / SWEEP).is_file():
        told = [sync_told(run, uri) for run in runs_below(path) if not run.identity().get("synced", True)]
        return "\n".join([*told, sync_told(SweepFolder(path), uri)])
    if not (path / CONFIG).is_file():
        raise UserError(
            f"sync needs a run's folder, or a sweep's: {path} has no {CONFIG}. Try python -m gptlab sync runs/..."
        )
    return sync_told(RunFolder(path), uri)


def sync_told(folder: RunFolder | SweepFolder, uri: str) -> str:
    path = folder.path
    with alone(path):
        take_in_unsent(folder)
        told = folder.identity()
        process = str(told.get("process", ""))
        if told.get("status") not in OVER and (orphans.lives(process) or is_held(path)):
            raise UserError(f"{os.path.relpath(path)} is being trained: MLflow gets it when it ends.")
        if told.get("synced", True) or "store" not in told:
            if isinstance(folder, RunFolder):
                refuse_unknown(folder)
            return f"{os.path.relpath(path)} has nothing left to send"
        check_kinds(told, SENT, path / folder.FILE)
        if isinstance(folder, RunFolder):
            folder.run()  # what is damaged is told before a store is opened, or made
        store = find_store(uri or told["store"])
        check_named(store)
        end_killed(folder, process)

        def send() -> tuple[Sync | ParentSync, Exception | None]:
            sync = sync_of(open_here(store), store, folder)
            return sync, sync.end(math.inf)

        try:
            # A server may answer a byte now and then, for ever; what is there by then is not sent again.
            sync, error = in_thread(send).result(SENDING_SECONDS)
        except TimeoutError:
            raise UserError(
                f"{store.shown} did not take everything within {SENDING_SECONDS:g} s. The rest stays in {path}: "
                "type the same command again later."
            ) from None
        if error:
            raise UserError(
                f"{store.shown} did not take everything that was sent ({said(error)}). The rest stays in {path}: "
                "type the same command again later."
            )
        (path / UNSENT).unlink(missing_ok=True)
        if uri:
            folder.update(store=store.address)
    registered = f"; registered as {sync.registered}" if sync.registered else ""
    return f"sent to {store.shown}: MLflow run {folder.id}{registered}"


def is_held(folder: Path) -> bool:
    """Whether a process trains the run of this folder, or runs its sweep, be it in another container."""
    try:
        lock(folder, 0.0).release()
    except Busy:
        return True
    return False


def refuse_unknown(folder: RunFolder) -> None:
    """Raises UserError for a run of an earlier gptlab that was killed before its store had a run for it."""
    told = folder.identity()
    if is_tracked(folder.path) and told.get("status") and not told.get("id"):
        place = os.path.relpath(folder.path)
        raise UserError(
            f"{place} has no run in MLflow: its process was killed before the store had made one, and nothing was "
            f"kept to send. Its numbers are in {place}/{METRICS}."
        )


def is_tracked(folder: Path) -> bool:
    """Whether the run's config has it written to MLflow."""
    try:
        return bool(read_config(folder)["tracking"]["name"] == "mlflow")
    except (UserError, LookupError, TypeError):
        return False


def close_abandoned(client: "MlflowClient", store: Store, experiment_ids: list[str]) -> list[str]:
    """Close this host's RUNNING runs of which both processes are gone, as their folders tell; the ids of those runs."""
    if not experiment_ids:
        return []
    here = f"attributes.status = 'RUNNING' and tags.`{orphans.HOST}` = '{orphans.host()}'"
    closed = []
    for run in client.search_runs(experiment_ids, here):
        tags, run_id = run.data.tags, run.info.run_id
        trains, writes = (tags.get(name, "") for name in (orphans.PROCESS, orphans.WRITER))
        if not trains or not orphans.is_gone(trains) or not orphans.is_gone(writes):
            continue
        place = Path(tags.get(orphans.FOLDER, ""))
        folder = next((each for each in (RunFolder(place), SweepFolder(place)) if each.id == run_id), None)
        if folder is not None and folder.status not in ("", STARTING):
            if end_later(client, store, folder):
                closed.append(run_id)
        elif close_untold(client, run_id, trains):  # nothing tells of its end
            closed.append(run_id)
    return closed


def close_untold(client: "MlflowClient", run_id: str, process: str) -> bool:
    """Close as KILLED a run that `process` has left open, if it is still its own; whether it was."""
    run = client.get_run(run_id)
    there = run.info.status == "RUNNING" and run.info.lifecycle_stage == "active"
    if not there or run.data.tags.get(orphans.PROCESS) != process:
        return False
    client.set_tag(run_id, "error", orphans.REASON)
    client.set_terminated(run_id, KILLED)
    return True


def sync_of(client: "MlflowClient", store: Store, folder: RunFolder | SweepFolder) -> Sync | ParentSync:
    if isinstance(folder, RunFolder):
        return Sync(client, store, folder)
    return ParentSync(client, store, folder)


def end_later(client: "MlflowClient", store: Store, folder: RunFolder | SweepFolder) -> bool:
    """Send what is left of a run that nobody trains any more; whether all of it is there."""
    try:
        with alone(folder.path, 0.0):
            with lock(folder.path, 0.0) as trained:
                free = trained.holds
            process = str(folder.identity().get("process", ""))
            if not orphans.is_gone(process, free):  # it was taken up again meanwhile, or nobody knows
                return False
            end_killed(folder, process)
            return folder.status in OVER and sync_of(client, store, folder).end() is None
    except (UserError, OSError, Busy):
        return False


def catch_up_below(client: "MlflowClient", store: Store, root: Path) -> None:
    """Send what is left of the runs and sweeps below `root` that are over and belong in this store."""
    folders: list[RunFolder | SweepFolder] = [*runs_below(root)]
    for folder in [*folders, *(SweepFolder(file.parent) for file in root.rglob(SWEEP))]:
        with suppress(Exception):  # it stays in the folder, for the next one that looks
            check_leads_nowhere(folder.path)
            told = folder.identity()
            if told.get("synced", True) or told.get("store") != store.address:
                continue
            if not orphans.lives(str(told.get("process", ""))):
                end_later(client, store, folder)


def take_in_unsent(folder: ToldFolder) -> None:
    """Have run.json tell what sending takes. Raises UserError for a file that gptlab did not write."""
    path = folder.path / UNSENT
    if path.exists() and "store" not in folder.identity():
        folder.update(**facts_in(path))


def facts_in(path: Path) -> dict[str, Any]:
    try:
        first, *rest = [strict_json.loads(line) for line in lines_of(path)]
        if first["format"] != FORMAT:
            raise ValueError("its format is a different one")
        run, store = first["run"], first["store"]
        counts: dict[str, int] = {"total": 0, "trainable": 0}
        for matrix in run["matrices"]:
            counts["total"] += matrix["count"]
            counts["trainable"] += matrix["count"] * matrix.get("trainable", True)
            counts[matrix["part"]] = counts.get(matrix["part"], 0) + matrix["count"]
        ends = {line["write"]: line for line in rest if "write" in line}
        reasons = [line["value"] for line in rest if line.get("name") == "error"]
        end = ends.get("status", {"status": "KILLED", "ended": None})
        return {
            **{key: run[key] for key in ("name", "description", "tags", "dataset")},
            **({"id": run["id"]} if run["id"] else {}),
            **{key: first[key] for key in ("experiment", "process", "began")},
            "typed": first["command"],
            "store": join_address(store["uri"], store.get("user", ""), ""),
            "parameters": counts,
            "status": end["status"],
            "ended": end["ended"],
            "reason": reasons[0] if reasons else "",
            "synced": False,
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not as gptlab wrote it: {error}. Move it away.") from None
