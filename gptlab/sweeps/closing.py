"""The end of a sweep: what its jobs left is summed up, shown, logged on the parent run; or nothing is left of it."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.calling import as_called, warn
from gptlab.engines.xla_compilations import compilations
from gptlab.runs.claiming import remove_empty
from gptlab.runs.files import HYDRAS, LOCK, SWEEP
from gptlab.runs.finding import BEST
from gptlab.runs.folder import SweepFolder
from gptlab.streams import show
from gptlab.sweeps.plan import Plan
from gptlab.sweeps.record import FAILED, FINISHED, KILLED, PRUNED, RECORD, RUNNING, JobRecord, read_records
from gptlab.sweeps.sweep import STOP, Sweep
from gptlab.sweeps.trial import JOURNAL, STUDY_FILES
from gptlab.tracking.facts import COUNTS, JOBS

if TYPE_CHECKING:
    from gptlab.tracking.parent import ParentRun

# What the records of the jobs in a folder show, of a sweep of this name: in words, and for its parent run. There may
# be none: of an ablation all runs may have been there before.
Conclude = Callable[[Path, list[JobRecord], str], tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class OpenSweep:
    """A sweep that goes on: where, and in which MLflow run, if any.

    there: the names in its folder before it. identity: all that its sweep.json told once it was open.
    """

    plan: Plan
    told: Sweep
    parent: ParentRun | None
    there: tuple[str, ...]
    identity: dict[str, Any]


def mark_unfinished(folder: Path, reason: str = "the process that ran it was killed") -> list[JobRecord]:
    """The jobs' records, once no job runs any more: what still says so was killed, as MLflow's process says too."""
    (folder / STOP).unlink(missing_ok=True)
    for record in read_records(folder, running=True):
        if record.status == RUNNING:
            with suppress(OSError):  # a full disk: it is no less over
                replace(record, status=KILLED, reason=reason).write(folder / record.folder)
    return read_records(folder)


def close_sweep(sweep: OpenSweep, status: str, conclude: Conclude) -> str:
    """Print what the jobs show, log it, and close the sweep as `status`; as what it is closed in the end.

    What MLflow does not take is in the folder. A sweep whose folder was removed while it went on has not finished:
    nobody knows what was in there.
    """
    folder = sweep.plan.folder
    if not SweepFolder(folder).identity():
        folder.mkdir(parents=True, exist_ok=True)
        SweepFolder(folder).update(**sweep.identity)
        again = f"{os.path.relpath(folder)} was removed or moved while the sweep ran"
        warn(f"{again}: jobs that had ended there are not in its summary.")
        status = FAILED if status == FINISHED else status
    SweepFolder(folder).update(status=status, reason="", ended=int(time.time() * 1000))
    plain = conclude is summed_up
    if sweep.parent is not None and not plain:  # which shows each job's run in MLflow
        sweep.parent.settle()
    # As this command ranks them: that may be another way than when a job was done.
    records = [replace(record, rank=sweep.plan.rank) for record in read_records(folder)]
    # Of an ablation all runs may have been there before, so that it had no job.
    there_is = bool(records) or status == FINISHED
    found = concluded(folder, records, sweep.told.name, conclude) if there_is else None
    if found is not None:  # what run=SWEEP means
        SweepFolder(folder).update(**{BEST: found.get("best", "")})
    if records and (count := compilations()):
        show(f"programs compiled: {count} for {len(records)} jobs; jobs of the same shapes share one")
    show(f"sweep folder: {os.path.relpath(folder)}")
    if sweep.parent is None:
        return status
    SweepFolder(folder).update(shown=with_counts(records, found or {}))
    later = as_called(f"python -m gptlab sync {shlex.quote(os.path.relpath(folder))}")
    run_id = sweep.parent.id
    if plain and status == FINISHED and run_id and sweep.parent.leave():
        show(f"MLflow parent run: {run_id}, still being sent; to wait for it: {later}")
    elif lacks := sweep.parent.close():
        show(f"mlflow: {lacks.rstrip('.')}. To have it there later: {later}", sys.stderr)
    else:
        show(f"MLflow parent run: {sweep.parent.id}")
    return status


def concluded(folder: Path, records: list[JobRecord], name: str, conclude: Conclude) -> dict[str, Any] | None:
    """What the jobs show, printed; None if it cannot be made, which is said: the sweep must be closed all the same."""
    try:
        text, found = conclude(folder, records, name)
        show(text)
        return found
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        warn(f"the sweep's summary could not be made: {reason}")
        return None


def summed_up(folder: Path, records: list[JobRecord], name: str) -> tuple[str, dict[str, Any]]:
    """What a sweep's jobs show: in words, and as its parent run shows it, see tracking.parent.close_parent."""
    from gptlab.sweeps.summary import summarize
    from gptlab.sweeps.trial import study_summary

    summary = summarize(folder, records, name)
    text = "\n".join(filter(None, [summary.text, study_summary(folder)]))
    metrics, tags, best = {}, {}, summary.best
    if best is not None:
        losses = {
            "val/loss": best.run.valLoss,
            "val/best": best.run.bestValLoss,
            "train/smoothedLoss": best.run.smoothedTrainLoss,
            f"{COUNTS}.total": best.run.parameters,
        }
        metrics = {key: float(value) for key, value in losses.items() if value is not None}
        overrides = " ".join(f"{key}={value}" for key, value in best.overrides.items())
        tags = {"best": summary.said, "bestOverrides": overrides}
    return text, {
        "metrics": metrics,
        "tags": {key: value for key, value in tags.items() if value},
        "best": "" if best is None else best.run.folder,
        "files": sorted({*summary.files, *STUDY_FILES}),
        "table": summary.table,
    }


def with_counts(records: list[JobRecord], found: dict[str, Any]) -> dict[str, Any]:
    """What the parent run shows: what was found, and how many jobs ended how."""
    counts = Counter(record.status for record in records)
    numbers = {status.lower(): counts[status] for status in (FINISHED, FAILED)}
    others = {status.lower(): counts[status] for status in (KILLED, PRUNED)}
    others["diverged"] = sum(bool(record.diverged) for record in records)
    others["programsCompiled"] = compilations()
    numbers |= {name: count for name, count in others.items() if count}
    metrics = {f"{JOBS}.{name}": float(count) for name, count in numbers.items()}
    empty: dict[str, Any] = {"tags": {}, "best": "", "files": [], "table": None}
    return {**empty, **found, "metrics": {**found.get("metrics", {}), **metrics}}


def take_back_sweep(sweep: OpenSweep) -> None:
    """Leave nothing of a sweep that no job of began: none of the files that it made, nor what MLflow has of it.

    By name, never a folder with all that is in it: what is not known to be of this sweep stays.
    """
    folder = sweep.plan.folder
    records = read_records(folder, running=True)
    runs = [record.runId for record in records if record.runId]
    if sweep.parent is not None and (error := sweep.parent.delete(runs)):
        show(f"mlflow: the sweep's run could not be removed: {error}", sys.stderr)
    for record in records:
        place = folder / record.folder
        (place / RECORD).unlink(missing_ok=True)
        if Path(record.folder).parts[0] not in sweep.there:
            remove_empty([one for one in (place, *place.parents) if folder in one.parents])
    for name in (HYDRAS, JOURNAL, LOCK, SWEEP):
        (folder / name).unlink(missing_ok=True)
