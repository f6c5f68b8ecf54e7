"""A sweep's jobs as a table: for the terminal, as CSV, and as MLflow takes it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from gptlab.drawing.table import aligned
from gptlab.sweeps.groups import Group, behind, margin_of
from gptlab.sweeps.record import FAILED, FINISHED, JobRecord, state_of
from gptlab.sweeps.values import labels, ranked, shown_loss, shown_value
from gptlab.training.named_metrics import word_for

CSV = "summary.csv"
SHOWN = 25  # rows that are printed; the file has all
REASONS = 8
FACTS = (
    "parameters",
    "steps",
    "bestValLoss",
    "bestStep",
    "valLoss",
    "smoothedTrainLoss",
    "seconds",
    "status",
    "diverged",
    "reason",
    "runId",
    "folder",
)


def columns_and_rows(records: Sequence[JobRecord]) -> tuple[list[str], list[list[Any]]]:
    """All jobs, best first: rank, name, a column for each override by its full key, FACTS, and the metrics if any."""
    metrics = list(dict.fromkeys(name for record in records for name in record.metrics))
    keys = list(dict.fromkeys(key for record in records for key in record.overrides))
    rows = [
        [
            rank,
            record.name,
            *(record.overrides.get(key, "") for key in keys),
            *(getattr(record, fact) for fact in FACTS),
            *(record.metrics.get(name) for name in metrics),
        ]
        for rank, record in enumerate(ranked(records), start=1)
    ]
    return ["rank", "name", *keys, *FACTS, *metrics], rows


def first_metric(records: Sequence[JobRecord]) -> str:
    """`val/accuracy`: the first one that all have which were evaluated; empty if there is none."""
    evaluated = [record.metrics for record in records if record.valLoss is not None]
    names = [name for name in evaluated[0] if name.startswith("val/")] if evaluated else []
    return next((name for name in names if all(name in metrics for metrics in evaluated)), "")


def metric_words(name: str) -> str:
    """`validation accuracy` for `val/accuracy`."""
    documents, _, metric = name.partition("/")
    return f"{word_for(documents)} {metric}"


def as_csv(records: Sequence[JobRecord]) -> bytes:
    columns, rows = columns_and_rows(records)
    return csv_of([columns, *rows])


def csv_of(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def as_mlflow(records: Sequence[JobRecord]) -> dict[str, list[Any]]:
    """The JSON form of `mlflow.log_table`."""
    columns, rows = columns_and_rows(records)
    # A dot in a column's name is a path to MLflow's page, which leads to nothing and shows nothing.
    return {"columns": [name.replace(".", "/") for name in columns], "data": rows}


Columns = list[tuple[str, list[str]]]


def printed(records: Sequence[JobRecord], keys: Sequence[str], most: int = SHOWN) -> str:
    """The best jobs, a line each; what sets them apart in the columns `keys`."""
    order = ranked(records)
    top = order[:most]
    columns: Columns = [
        (label, [shown_value(record.overrides.get(key, "")) for record in top])
        for key, label in labels(keys).items()
    ]
    columns += [("parameters", [count(record.parameters) for record in top])]
    if any(record.valLoss is not None for record in order):
        columns += [
            ("last val", [shown_loss(record.valLoss) for record in top]),
            ("best val", [shown_loss(record.bestValLoss) for record in top]),
            ("at step", [count(record.bestStep) for record in top]),
        ]
    if metric := first_metric(order):
        values = [shown_loss(record.metrics.get(metric)) for record in top]
        columns += [(metric.partition("/")[2], values)]
    columns += [
        ("train, smoothed", [shown_loss(record.smoothedTrainLoss) for record in top]),
        ("time", [duration(record.seconds) for record in top]),
        ("status", [state_of(record) for record in top]),
    ]
    rest = len(order) - len(top)
    return numbered(columns, left={len(columns)}) + (f"\n... and {rest:,} more, all in {CSV}" if rest else "")


def printed_groups(groups: Sequence[Group]) -> str:
    rest = len(groups) - SHOWN
    table = numbered(group_columns(groups), left=set())
    return f"over seeds:\n{table}" + (f"\n... and {rest:,} more" if rest > 0 else "")


def group_columns(groups: Sequence[Group]) -> Columns:
    """A line a group, lowest mean first, SHOWN at most: mean and standard deviation over the seeds, and how far behind
    the first it is, seed by seed."""
    top = groups[:SHOWN]
    columns: Columns = [
        (label, [shown_value(group.overrides[key]) for group in top])
        for key, label in labels(groups[0].overrides).items()
    ]
    spreads = [shown_loss(group.deviation) if len(group.losses) > 1 else "-" for group in top]
    columns += [
        ("mean", [shown_loss(group.mean) for group in top]),
        ("± deviation", spreads),
        ("lowest", [shown_loss(min(group.losses)) for group in top]),
        ("highest", [shown_loss(max(group.losses)) for group in top]),
        ("seeds", [count(len(group.losses)) for group in top]),
    ]
    if len(groups) > 1:
        apart = [behind(group, groups[0]) for group in top[1:]]
        columns += [
            ("behind", ["-", *(shown_loss(fmean(found)) if found else "-" for found in apart)]),
            ("± 95%", ["-", *(shown_loss(margin_of(found)) if len(found) > 1 else "-" for found in apart)]),
        ]
    if any(group.jobs > len(group.losses) for group in groups):
        columns += [("left out", [count(group.jobs - len(group.losses)) for group in top])]
    return columns


def numbered(columns: Columns, left: set[int]) -> str:
    """The columns behind one that counts the rows."""
    rows = [[str(rank), *row] for rank, row in enumerate(zip(*(c for _, c in columns), strict=True), start=1)]
    return aligned(["", *(header for header, _ in columns)], rows, left)


def failures(records: Sequence[JobRecord], where: str = f", all in {CSV}") -> list[str]:
    """A line for those that diverged, and for each reason that jobs failed for, the most frequent first.

    where: all of them can be read, said if there are too many.
    """
    failed = [record for record in records if record.status == FAILED]
    diverged = [record for record in records if record.diverged and record.status != FAILED]
    reasons = Counter(one_line(record.reason) for record in failed)
    lines = []
    if diverged:  # each with a loss of its own: one stands for all
        others = f" and {len(diverged) - 1:,} more" if len(diverged) > 1 else ""
        lines.append(f"no use: {diverged[0].name}{others}: {one_line(diverged[0].diverged)}")
    for reason, times in reasons.most_common(REASONS):
        first = next(record for record in failed if one_line(record.reason) == reason)
        others = f" and {times - 1:,} more" if times > 1 else ""
        lines.append(f"failed: {first.name}{others}: {reason}")
    if len(reasons) > REASONS:
        lines.append(f"... and {len(reasons) - REASONS:,} other reasons{where}")
    return lines


def one_line(reason: str) -> str:
    return " ".join(reason.split()) or "no reason was kept"


def counts(records: Sequence[JobRecord]) -> str:
    """`6 jobs: 5 finished, 1 failed`."""
    found = Counter(record.status for record in records)
    order = [FINISHED, *sorted(found.keys() - {FINISHED})]
    diverged = sum(bool(record.diverged) for record in records)
    parts = ", ".join(f"{found[status]:,} {status.lower()}" for status in order if found[status])
    parts += f", {diverged:,} diverged" if diverged else ""
    return f"{len(records):,} {'job' if len(records) == 1 else 'jobs'}" + (f": {parts}" if parts else "")


def count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
