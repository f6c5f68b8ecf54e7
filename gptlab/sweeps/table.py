"""A sweep's jobs as a table: for the terminal, as CSV, and as MLflow takes it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gptlab.drawing.table import aligned
from gptlab.sweeps.record import FAILED, FINISHED, JobRecord, state_of
from gptlab.sweeps.values import labels, ranked, shown_value
from gptlab.training.metric_rows import loss_text

if TYPE_CHECKING:
    from gptlab.sweeps.groups import Group

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
    """All jobs, best first: rank, name, a column for each override by its full key, then FACTS."""
    keys = list(dict.fromkeys(key for record in records for key in record.overrides))
    rows = [
        [
            rank,
            record.name,
            *(record.overrides.get(key, "") for key in keys),
            *(getattr(record, fact) for fact in FACTS),
        ]
        for rank, record in enumerate(ranked(records), start=1)
    ]
    return ["rank", "name", *keys, *FACTS], rows


def as_csv(records: Sequence[JobRecord]) -> str:
    columns, rows = columns_and_rows(records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def as_mlflow(records: Sequence[JobRecord]) -> dict[str, list[Any]]:
    """The JSON form of `mlflow.log_table`."""
    columns, rows = columns_and_rows(records)
    # A dot in a column's name is a path to MLflow's page, which leads to nothing and shows nothing.
    return {"columns": [name.replace(".", "/") for name in columns], "data": rows}


def printed(records: Sequence[JobRecord], keys: Sequence[str], most: int = SHOWN) -> str:
    """The best jobs, a line each; what sets them apart in the columns `keys`."""
    order = ranked(records)
    validated = any(record.valLoss is not None for record in order)
    headers = ["", *labels(keys).values()]
    headers += ["parameters", *(["best val", "at step", "last val"] if validated else [])]
    headers += ["train, smoothed", "time", "status"]
    rows = []
    for rank, record in enumerate(order[:most], start=1):
        losses = (
            [shown_loss(record.bestValLoss), count(record.bestStep), shown_loss(record.valLoss)]
            if validated
            else []
        )
        rows.append(
            [
                str(rank),
                *(shown_value(record.overrides.get(key, "")) for key in keys),
                count(record.parameters),
                *losses,
                shown_loss(record.smoothedTrainLoss),
                duration(record.seconds),
                state_of(record),
            ]
        )
    text = aligned(headers, rows, left={len(headers) - 1})
    rest = len(order) - len(rows)
    return text + (f"\n... and {rest:,} more, all in {CSV}" if rest else "")


def printed_groups(groups: Sequence[Group]) -> str:
    """Mean and standard deviation over the seeds, a line a group, lowest mean first."""
    keys = list(groups[0].overrides)
    headers = [
        "",
        *labels(keys).values(),
        "mean",
        "± deviation",
        "lowest",
        "highest",
        "seeds",
        "left out",
    ]
    rows = [
        [
            str(rank),
            *map(shown_value, group.overrides.values()),
            shown_loss(group.mean),
            shown_loss(group.deviation) if len(group.losses) > 1 else "-",
            shown_loss(min(group.losses)),
            shown_loss(max(group.losses)),
            count(len(group.losses)),
            count(group.jobs - len(group.losses)),
        ]
        for rank, group in enumerate(groups[:SHOWN], start=1)
    ]
    if all(group.jobs == len(group.losses) for group in groups):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    rest = len(groups) - len(rows)
    return "over seeds:\n" + aligned(headers, rows, set()) + (f"\n... and {rest:,} more" if rest else "")


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


def shown_loss(value: float | None) -> str:
    return "-" if value is None else loss_text(value, 4)


def count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
