"""What is there of a job of a sweep that goes on: its record, its checkpoint, its MLflow run."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from gptlab.runs.checkpoint import CHECKPOINTS, Checkpoint
from gptlab.runs.files import METRICS, SAMPLES
from gptlab.runs.folder import RunFolder
from gptlab.runs.resuming import newest_of
from gptlab.sweeps.record import DONE, JobRecord, read_records


@lru_cache(maxsize=1)
def records_before(sweep_folder: Path, resumed: str) -> dict[tuple[tuple[str, str], ...], list[JobRecord]]:
    """The records that were there when the sweep was `resumed`, by their overrides: read once for all jobs."""
    found: dict[tuple[tuple[str, str], ...], list[JobRecord]] = {}
    for record in read_records(sweep_folder, running=True):
        found.setdefault(key_of(record.overrides), []).append(record)
    return found


def key_of(overrides: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(overrides.items()))


def earlier_of(sweep_folder: Path, resumed: str, overrides: dict[str, str], output: Path) -> JobRecord | None:
    """The record of the job with these overrides, if it has begun: that in `output`, or else a finished one."""
    same = records_before(sweep_folder, resumed).get(key_of(overrides), [])
    mine = os.path.relpath(output, sweep_folder)
    return min(same, key=lambda record: (record.folder != mine, record.status not in DONE), default=None)


def restartable(folder: Path, earlier: JobRecord) -> tuple[Checkpoint | None, str]:
    """The checkpoint to go on from; without one the folder is cleared, and the MLflow run to begin again is told.

    Raises UserError if there are checkpoints and all of them are damaged.
    """
    if any((folder / CHECKPOINTS).glob("step-*")):
        return newest_of(folder), ""
    for name in (METRICS, SAMPLES):
        (folder / name).unlink(missing_ok=True)
    return None, earlier.runId or RunFolder(folder).id
