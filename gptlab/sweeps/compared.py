"""Runs as `compare` sets them side by side, read from their folders or, for want of those, from the MLflow store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.errors import UserError
from gptlab.files import read_json
from gptlab.plugins.code import DIGEST
from gptlab.runs.checkpoint.folder import WEIGHTS, checkpoint_folders
from gptlab.runs.config_file import read_config
from gptlab.runs.files import CONFIG, METRICS, PLUGINS, RUN, check_leads_nowhere
from gptlab.sweeps.record import (
    RECORD,
    RUNNING,
    JobRecord,
    losses_in,
    metrics_of,
    read_record,
    read_records,
    record_files,
)
from gptlab.sweeps.values import ranked
from gptlab.training.metric_rows import Metrics, rows_in
from gptlab.training.smoothing import LOSS, SMOOTHED

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

CURVES = 100  # children in the store whose histories are read: of the others the last values do
NAMES = (LOSS, SMOOTHED, "val/loss")


@dataclass(frozen=True)
class Compared:
    """config: flat, `{"model.nEmbd": "16"}`. The record's folder is relative to the current one; its status is
    empty where nobody knows it."""

    record: JobRecord
    config: Mapping[str, str]


def sweep_in(folder: Path) -> list[Compared]:
    """The jobs of a sweep's folder, best first, those that still run included.

    Raises UserError for files that are broken, or lead elsewhere.
    """
    found = []
    check_leads_nowhere(folder)
    for file in record_files(folder):
        check_leads_nowhere(file.parent)
    for record in ranked(read_records(folder, running=True)):
        inner = folder / record.folder
        # A job whose config was refused has none.
        found.append(Compared(up_to_now(record, inner), config_in(inner) or record.overrides))
    return found


def up_to_now(record: JobRecord, folder: Path) -> JobRecord:
    """With what a job that still runs, or was killed, has logged; its folder as it is typed from here."""
    record = replace(record, folder=os.path.relpath(folder))
    if record.status != RUNNING:
        return record
    return replace(record, parameters=parameters_in(folder), **losses_in(rows_in(folder / METRICS)))


def run_in(folder: Path) -> Compared:
    """A run's folder. Raises UserError for files that are broken."""
    config = config_in(folder)
    if config is None:
        raise UserError(f"a run's folder must hold {CONFIG}: {folder} does not.")
    with suppress(UserError):  # not a sweep's job
        return Compared(up_to_now(read_record(folder / RECORD), folder), config)
    identity = read_json(folder / RUN) if (folder / RUN).is_file() else {}
    if not isinstance(identity, dict):
        raise UserError(f"{folder / RUN} does not say what the run is.")
    record = JobRecord(
        number=0,
        name=str(identity.get("name") or folder.name),
        overrides={},
        folder=os.path.relpath(folder),
        status="",
        runId=str(identity.get("id") or ""),
        diverged=str(identity.get("diverged") or ""),
        parameters=parameters_in(folder),
        **losses_in(rows_in(folder / METRICS)),
    )
    return Compared(record, config)


def config_in(folder: Path) -> dict[str, str] | None:
    """None if there is no config. Raises UserError for one that cannot be read."""
    from gptlab.tracking.facts import flat_params

    if not (folder / CONFIG).exists():
        return None
    return flat_params(read_config(folder)) | plugins_in(folder)


def plugins_in(folder: Path) -> dict[str, str]:
    """The digests of the plugins that a run used, as `{"plugin half": "e4e554ba"}`: other code makes another run."""
    if not (folder / PLUGINS).is_file():
        return {}
    brought = read_json(folder / PLUGINS)
    named = brought.items() if isinstance(brought, dict) else ()
    return {key: str(value)[:8] for key, value in named if key.startswith(DIGEST)}


def parameters_in(folder: Path) -> int | None:
    """Of the newest weights; None if there are none that can be read."""
    from safetensors import SafetensorError, safe_open

    for checkpoint in reversed(checkpoint_folders(folder)):
        with (
            suppress(OSError, SafetensorError),
            safe_open(checkpoint / WEIGHTS, framework="numpy") as weights,
        ):
            return sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return None


def runs_in_store(run_id: str, uri: str | None) -> list[Compared]:
    """The run, or its children, best first, if it has some.

    Raises UserError if there is no store, or no such run in it. Makes no store.
    """
    from gptlab.tracking.download import family_in_store

    found = [compared_of(run, history) for run, history in family_in_store(run_id, uri, NAMES, CURVES)]
    by_id = {run.record.runId: run for run in found}
    return [by_id[record.runId] for record in ranked(run.record for run in found)]


def compared_of(run: MlflowRun, history: Metrics | None) -> Compared:
    from gptlab.tracking.facts import COUNTS

    info, last = run.info, run.data.metrics
    parameters = last.get(f"{COUNTS}.total", last.get("parameters/total"))  # as an earlier gptlab called it
    ended = info.end_time or info.start_time
    if history is not None:
        losses = losses_in(history)
    else:  # the last losses, at steps that the store does not tell
        row = {name: last[name] for name in NAMES if name in last}
        losses = {**losses_in([(0, row)]), "bestStep": None, "curves": {}}
    losses["metrics"] = metrics_of([(0, dict(last))])
    record = JobRecord(
        number=int.from_bytes(info.run_id.encode("utf-8"), "big"),  # it was never numbered
        name=info.run_name or info.run_id,
        overrides={},
        folder="",
        status=info.status,
        reason=run.data.tags.get("error", ""),
        runId=info.run_id,
        parameters=None if parameters is None else int(parameters),
        seconds=(ended - info.start_time) / 1000,
        **losses,
    )
    return Compared(record, dict(run.data.params))
