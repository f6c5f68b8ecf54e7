"""The runs that an ablation has so far: trained for it, or before, and read from their folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

from gptlab.ablation.cells import Cell
from gptlab.ablation.result import Costs, Curve, SeedRun, Setting
from gptlab.errors import UserError
from gptlab.runs.files import METRICS
from gptlab.runs.folder import RunFolder
from gptlab.sweeps.compared import run_in
from gptlab.sweeps.job import differing
from gptlab.sweeps.record import FINISHED, KILLED, JobRecord, read_records
from gptlab.training.metric_rows import Metrics, rows_in

Wanted = list[tuple[Cell, int]]
LOSS = "val/loss"


@dataclass(frozen=True)
class Trained:
    """A run, and the seconds that its training took."""

    run: SeedRun
    seconds: float


class Runs:
    """Known by their jobs' overrides and seed. folder: the ablation's own. swept: the keys that tell jobs apart.

    before: the folders of finished runs by their keys, see runs.equality: an equal one is not trained again.
    """

    def __init__(self, folder: Path, swept: tuple[str, ...], before: Mapping[str, Path]):
        self.folder = folder
        self.swept = swept
        self.before = before
        self._known: dict[frozenset[tuple[str, str]], Trained] = {}
        self._reused: dict[str, Trained] = {}
        self.read()

    def missing(self, wanted: Iterable[tuple[Cell, int]]) -> Wanted:
        """Those that are still to be trained, each once."""
        found = {self._key(cell, seed): (cell, seed) for cell, seed in wanted if self.get(cell, seed) is None}
        return list(found.values())

    def get(self, cell: Cell, seed: int) -> Trained | None:
        return self._known.get(self._key(cell, seed)) or self._earlier(cell, seed)

    def read(self) -> None:
        """What the jobs have left by now; one that was killed is to be gone on with."""
        for record in read_records(self.folder):
            if record.status != KILLED:
                key = frozenset(record.overrides.items())
                if key not in self._known:
                    self._known[key] = trained(record, self.folder / record.folder)

    def setting(self, cell: Cell, seeds: Iterable[int]) -> Setting:
        """What there is of a cell for these seeds, losses in the baseline's unit."""
        found = [self.get(cell, seed) for seed in seeds]
        there = [one for one in found if one is not None]
        runs = [
            # MLflow may have it only since it was read.
            replace(in_unit(one.run, cell.unit), seed=seed, runId=one.run.runId or id_in(one.run.folder))
            for one, seed in zip(found, seeds, strict=True)
            if one is not None
        ]
        tuned = {text.partition("=")[0]: text.partition("=")[2] for text in cell.setting}
        timed = [one.seconds for one in there if one.seconds]
        costs: Costs = replace(cell.costs, seconds=fmean(timed) if timed else 0.0)
        return Setting(tuned, runs, costs)

    def _key(self, cell: Cell, seed: int) -> frozenset[tuple[str, str]]:
        return frozenset(differing(cell.job(seed), self.swept).items())

    def _earlier(self, cell: Cell, seed: int) -> Trained | None:
        if not self.before:
            return None
        key = cell.key(seed)
        if key in self._reused:
            return self._reused[key]
        folder = self.before.get(key)
        if folder is None or self.folder in folder.parents:
            return None
        try:
            record = replace(run_in(folder).record, status=FINISHED)
        except (UserError, OSError):
            return None
        found = trained(record, folder)
        self._reused[key] = replace(found, run=replace(found.run, reused=True))
        return self._reused[key]


def id_in(folder: str) -> str:
    """The MLflow id of the run in a folder, empty for none."""
    return RunFolder(Path(folder)).id


def trained(record: JobRecord, folder: Path) -> Trained:
    """The loss is that of the last evaluation; of a run that broke down there is none."""
    whole = record.status == FINISHED and not record.diverged
    rows = rows_in(folder / METRICS)
    run = SeedRun(
        seed=0,
        status="DIVERGED" if record.diverged and record.status == FINISHED else record.status,
        loss=record.valLoss if whole else None,
        folder=os.path.relpath(folder),
        runId=record.runId,
        reason=record.diverged or record.reason,
        curve=curve_in(rows),
    )
    return Trained(run, seconds_in(rows))


def in_unit(run: SeedRun, unit: float) -> SeedRun:
    loss = None if run.loss is None else run.loss * unit
    return run if unit == 1 else replace(run, loss=loss, curve=[(step, at * unit) for step, at in run.curve])


def curve_in(rows: Metrics) -> Curve:
    return [(step, row[LOSS]) for step, row in rows if LOSS in row]


def seconds_in(rows: Metrics) -> float:
    """Of training alone: steps at the median speed of what was logged, without compiling, evaluating and saving."""
    timed = [row for _, row in rows if row.get("train/tokensPerSecond")]
    if not timed:
        return 0.0
    tokens = fmean(row.get("train/tokens", 0.0) for row in timed)
    return rows[-1][0] * tokens / median(row["train/tokensPerSecond"] for row in timed)
