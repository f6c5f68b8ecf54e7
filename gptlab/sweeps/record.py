"""What is kept of a job of a sweep once it is over: job.json in its folder, written by whatever process ran it.

A sweep's summary is made of these alone, so that its cost does not grow with what each run has logged.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gptlab.errors import UserError
from gptlab.files import read_json, write_json
from gptlab.runs.checkpoint.folder import CHECKPOINTS
from gptlab.runs.files import INSPECTIONS, SWEEP
from gptlab.runs.folder import RunFolder
from gptlab.training.metric_rows import Metrics
from gptlab.training.named_metrics import further_sets, metrics_in, told
from gptlab.training.smoothing import LOSS, SMOOTHED, smoothed_points, with_smoothed

RECORD = "job.json"
LAST, BEST = "last", "best"  # see SweepConfig.rank
POINTS = 200  # that a curve keeps at most
FINISHED, FAILED, KILLED, PRUNED = "FINISHED", "FAILED", "KILLED", "PRUNED"
NONE = object()  # in place of what a record does not tell
DONE = (FINISHED, PRUNED)  # not to be done again
RUNNING = "RUNNING"  # while it goes on; stays if its process is killed

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class JobRecord:
    """One job. Losses are in nats a token; None where there is none, or where it is not finite.

    overrides: what sets this job apart, as typed: `{"model.nEmbd": "16", "seed": "0"}`.
    folder: relative to the sweep's. refused: failed before it began to train, for what a person can mend.
    smoothedTrainLoss: the last train/smoothedLoss, since a step's own is noise at small batches. diverged: what says
    that the run has, if it has. rank: LAST or BEST: which validation loss the score is. metrics: the last values of
    those that the run was asked for, the first one first: `{"val/accuracy": 0.98, "train/accuracy": 1.0}`. curves:
    `{"train/smoothedLoss": [(step, value), ...], "val/loss": ...}` and that of the first metric, thinned to POINTS.
    """

    number: int
    name: str
    overrides: dict[str, str]
    folder: str
    status: str
    reason: str = ""
    refused: bool = False
    runId: str = ""
    parameters: int | None = None
    steps: int = 0
    smoothedTrainLoss: float | None = None
    valLoss: float | None = None
    bestValLoss: float | None = None
    bestStep: int | None = None
    seconds: float = 0.0
    diverged: str = ""
    rank: str = LAST
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)

    @property
    def score(self) -> float | None:
        """What jobs are ranked by, the lower the better: a validation loss, or else the training loss."""
        loss = self.bestValLoss if self.rank == BEST else self.valLoss
        return self.smoothedTrainLoss if loss is None else loss

    def write(self, folder: Path) -> None:
        """Keep it in the job's folder, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RECORD, asdict(self))


def state_of(record: JobRecord) -> str:
    """The status as it is shown; empty where nobody knows it."""
    return ", ".join(filter(None, [record.status.lower(), "diverged" if record.diverged else ""]))


def read_record(file: Path) -> JobRecord:
    """Raises UserError for a file that is no record."""
    told = read_json(file)
    try:
        curves = {name: [(int(s), float(v)) for s, v in points] for name, points in told["curves"].items()}
        if "trainLoss" in told:  # an earlier gptlab's
            told.setdefault("smoothedTrainLoss", told["trainLoss"])
        if LOSS in curves:
            curves.setdefault(SMOOTHED, smoothed_points(curves.pop(LOSS)))
        known = {f.name: told[f.name] for f in fields(JobRecord) if f.name in told}
        wrong = [f.name for f in fields(JobRecord) if not is_of_kind(known.get(f.name, NONE), str(f.type))]
        if wrong:
            raise ValueError(f"of another kind: {', '.join(wrong)}")
        return JobRecord(**{**known, "curves": curves})
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{file} is not as gptlab wrote it: {error}.") from None


def is_of_kind(value: object, kind: str) -> bool:
    """Whether it is what a field of a record may hold; what is not there has the field's default."""
    if value is NONE:
        return True
    if kind == "dict[str, str]":
        return isinstance(value, dict) and all(isinstance(text, str) for text in [*value, *value.values()])
    if kind == "dict[str, float]":
        return isinstance(value, dict) and all(is_of_kind(number, "float") for number in value.values())
    plain, _, none = kind.partition(" | ")
    if none and value is None:
        return True
    if isinstance(value, bool) or plain == "bool":
        return isinstance(value, bool) and plain == "bool"
    if plain == "float":
        return isinstance(value, (int, float)) and math.isfinite(value)
    kinds = {"int": int, "str": str}
    return plain not in kinds or isinstance(value, kinds[plain])


def read_records(sweep_folder: Path, running: bool = False) -> list[JobRecord]:
    """Those of a sweep that are over, by number; unreadable ones are left out. running: those that are not, too."""
    found = []
    for file in record_files(sweep_folder):
        with suppress(UserError):
            # Where it was found, whatever it says of that: a sweep reads and writes in its own folder only.
            record = replace(read_record(file), folder=os.path.relpath(file.parent, sweep_folder))
            if not record.runId:  # MLflow had it only after its end, or has it not at all
                record = replace(record, runId=RunFolder(file.parent).id)
            if running or record.status != RUNNING:
                found.append(record)
    return sorted(found, key=lambda record: record.number)


@lru_cache(maxsize=1)
def records_before(sweep_folder: Path, resumed: str) -> dict[frozenset[tuple[str, str]], list[JobRecord]]:
    """The records that were there when the sweep was `resumed`, by their overrides: read once for all jobs."""
    found: dict[frozenset[tuple[str, str]], list[JobRecord]] = {}
    for record in read_records(sweep_folder, running=True):
        found.setdefault(frozenset(record.overrides.items()), []).append(record)
    return found


def earlier_of(sweep_folder: Path, resumed: str, overrides: dict[str, str], output: Path) -> JobRecord | None:
    """The record of the job with these overrides, if it has begun: that in `output`, or else a finished one."""
    same = records_before(sweep_folder, resumed).get(frozenset(overrides.items()), [])
    mine = os.path.relpath(output, sweep_folder)
    return min(same, key=lambda record: (record.folder != mine, record.status not in DONE), default=None)


def record_files(sweep_folder: Path) -> Iterator[Path]:
    """The job.json of each job of this sweep; what lies in a sweep of its own below it is that one's."""
    for place, folders, files in os.walk(sweep_folder):
        if SWEEP in files and Path(place) != sweep_folder:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in (CHECKPOINTS, INSPECTIONS)]
        if RECORD in files:
            yield Path(place, RECORD)


def losses_in(metrics: Metrics) -> dict[str, Any]:
    """The fields of a record that `[(step, {name: value}), ...]` tell."""
    train = finite(with_smoothed(metrics), SMOOTHED)
    validation = finite(metrics, "val/loss")
    best = min(validation, key=lambda point: point[1], default=(None, None))
    curves = {SMOOTHED: thinned(train), "val/loss": thinned(validation)}
    last = metrics_of(metrics)
    curves |= {name: thinned(finite(metrics, name)) for name in list(last)[:1]}
    return {
        "steps": metrics[-1][0] if metrics else 0,
        "smoothedTrainLoss": train[-1][1] if train else None,
        "valLoss": validation[-1][1] if validation else None,
        "bestValLoss": best[1],
        "bestStep": best[0],
        "metrics": last,
        "curves": {name: points for name, points in curves.items() if points},
    }


def metrics_of(rows: Metrics) -> dict[str, float]:
    """The last values of the metrics that were asked for: those of validation first, each with its other sets."""
    names = dict.fromkeys(name for _, row in rows for name in row)
    last = {name: value for _, row in rows for name, value in row.items() if math.isfinite(value)}
    further = further_sets(names)
    all_of = [told({name: name for name in last}, metric, further) for metric in metrics_in(names)]
    return {name: last[name] for of_sets in all_of for name in of_sets.values()}


def finite(metrics: Metrics, name: str) -> Points:
    return [(step, row[name]) for step, row in metrics if name in row and math.isfinite(row[name])]


def thinned(points: Points) -> Points:
    """At most POINTS of them as they are, evenly, the last one among them."""
    every = -(-len(points) // POINTS)
    return points[::-every][::-1] if every > 1 else points
