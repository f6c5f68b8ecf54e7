"""An ablation as CSV: a row an arm, and a row a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gptlab.ablation.report.tables import BASELINE, ranked
from gptlab.ablation.report.words import mean_loss
from gptlab.ablation.result import Ablation
from gptlab.streams import visible
from gptlab.sweeps.table import csv_of

ARM_COLUMNS = (
    *(
        "rank",
        "name",
        "overrides",
        "tuned",
        "verdict",
        "difference",
        "low",
        "high",
        "bootstrapLow",
        "bootstrapHigh",
    ),
    *("p", "seeds", "needs", "lost", "meanLoss", "parameters", "steps", "flops", "seconds"),
    *("speedupSteps", "speedupFlops", "speedupSeconds"),
)
RUN_COLUMNS = ("arm", "seed", "status", "loss", "tuned", "folder", "runId", "reused", "reason")


def arm_rows(ablation: Ablation) -> list[list[Any]]:
    """Best first, in the order of ARM_COLUMNS; the baseline is the last one, without a rank."""
    rows = []
    for rank, arm in enumerate(ranked(ablation.arms), start=1):
        one, costs, speedup = arm.comparison, arm.setting.costs, arm.speedup
        found = [one.verdict, one.difference, one.low, one.high, *(one.bootstrap or (None, None)), one.p]
        found += [one.seeds, one.needs, one.lost, mean_loss(arm.setting)]
        found += [costs.parameters, costs.steps, costs.flops, costs.seconds]
        found += [speedup.steps, speedup.flops, speedup.seconds]
        rows.append([rank, arm.name, " ".join(arm.overrides), assigned(arm.setting.tuned), *found])
    base, costs = ablation.baseline, ablation.baseline.costs
    told = [len(base.losses), None, len(base.runs) - len(base.losses), mean_loss(base)]
    spent = [costs.parameters, costs.steps, costs.flops, costs.seconds, 1.0, 1.0, 1.0]
    name = [None, BASELINE, " ".join(ablation.baselineOverrides), assigned(base.tuned), "", *[None] * 6]
    return [*rows, [*name, *told, *spent]]


def run_rows(ablation: Ablation) -> list[list[Any]]:
    return [
        [
            name,
            run.seed,
            run.status,
            run.loss,
            assigned(setting.tuned),
            run.folder,
            run.runId,
            run.reused,
            run.reason,
        ]
        for name, setting in ablation.settings
        for run in setting.runs
    ]


def assigned(values: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in values.items())


def arms_csv(ablation: Ablation) -> bytes:
    return csv_of([ARM_COLUMNS, *map(written, arm_rows(ablation))])


def runs_csv(ablation: Ablation) -> bytes:
    return csv_of([RUN_COLUMNS, *map(written, run_rows(ablation))])


def written(row: Sequence[Any]) -> list[Any]:
    """With no half of a letter in it, which has no bytes."""
    return [visible(cell) if isinstance(cell, str) else cell for cell in row]
