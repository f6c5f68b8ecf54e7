"""The table of a sweep's jobs on its page: read as it stands, sorted by the page's script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptlab.drawing.report_page import escaped
from gptlab.streams import visible
from gptlab.sweeps.inline_curves import colors_of
from gptlab.sweeps.job_links import has_weights, inspect_command, newest_inspection, way
from gptlab.sweeps.record import JobRecord, state_of
from gptlab.sweeps.style import cut
from gptlab.sweeps.table import CSV, count, duration, first_metric
from gptlab.sweeps.values import labels, numbers, shown_loss, shown_value

ROWS = 1000  # the file has all
CELL, REASON = 60, 300


@dataclass(frozen=True)
class Links:
    """From the rows to what the jobs have left. folder: the sweep's. text: that an inspection may look at."""

    folder: Path
    text: str


@dataclass(frozen=True)
class Cell:
    """What stands in a cell. value: what it is sorted by, where that is not the text itself; None for nothing."""

    text: str
    value: float | None = None
    is_text: bool = False

    @property
    def html(self) -> str:
        value = "" if self.value is None else f' data-v="{self.value:.12g}"'
        kind = " class=text" if self.is_text else ""
        return f"<td{kind}{value}>{escaped(self.text)}</td>"


def job_table(
    order: Sequence[JobRecord], swept: Mapping[str, Sequence[str]], best: JobRecord | None, links: Links
) -> str:
    """All jobs, at most ROWS of them; order: best first. swept: the keys that have a column."""
    called = labels(swept)
    named = {key: numbers(values) is None for key, values in swept.items()}
    evaluated = any(job.valLoss is not None for job in order)
    metric = first_metric(order)
    heads = [("", False), ("run", True), *((cut(visible(called[key]), CELL), named[key]) for key in swept)]
    heads.append(("parameters", False))
    heads += [(head, False) for head in ("last val", "best val", "at step") if evaluated]
    heads += [(visible(metric.partition("/")[2]), False)] if metric else []
    heads += [("train, smoothed", False), ("time", False), ("status", True), ("inspect", True)]
    head = "".join(f"<th{' class=text' if text else ''}>{escaped(name)}</th>" for name, text in heads)
    colors = colors_of(order)
    rows = []
    for rank, job in enumerate(order[:ROWS], start=1):
        cells = [keyed(job.overrides.get(key, ""), named[key]) for key in swept]
        cells.append(Cell(count(job.parameters), job.parameters))
        if evaluated:
            cells += [loss(job.valLoss), loss(job.bestValLoss), Cell(count(job.bestStep), job.bestStep)]
        cells += [loss(job.metrics.get(metric))] if metric else []
        cells += [loss(job.smoothedTrainLoss), Cell(duration(job.seconds), job.seconds)]
        color = f' style="--c:{colors[rank]}"' if rank in colors else ""
        kind = " class=best" if job is best else ""
        rows.append(
            f'<tr{kind} data-r="{rank}"><td data-v="{rank}"><i{color}></i>{rank}</td>{run_cell(job)}'
            f"{''.join(cell.html for cell in cells)}{status_cell(job)}{inspect_cell(job, links)}</tr>"
        )
    more = (
        f'<p class="soft">... and {len(order) - ROWS:,} more, all in {CSV}</p>' if len(order) > ROWS else ""
    )
    table = f'<table class="jobs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scroll">{table}</div>{more}'


def keyed(value: str, named: bool) -> Cell:
    found = None if named else numbers([value])
    return Cell(cut(visible(shown_value(value)), CELL), found[0] if found else None, named)


def loss(value: float | None) -> Cell:
    return Cell(shown_loss(value), value)


def run_cell(job: JobRecord) -> str:
    folder = cut(visible(job.folder), CELL)
    name = escaped(visible(job.name))
    return f'<td class=text title="{name}"><a href="{escaped(way(job.folder))}">{escaped(folder)}</a></td>'


def status_cell(job: JobRecord) -> str:
    """How it ended, and what was wrong, to be opened."""
    reason = " ".join((job.diverged or job.reason).split())
    state = escaped(visible(state_of(job)))
    if not reason:
        return f"<td class=text>{state}</td>"
    told = escaped(cut(visible(reason), REASON))
    return f"<td class=text><details><summary>{state}</summary>{told}</details></td>"


def inspect_cell(job: JobRecord, links: Links) -> str:
    """To the last inspect page of the run, or the command that makes one; neither for a run that left no weights."""
    if (found := newest_inspection(links.folder, job)) is not None:
        address, step = found
        return f'<td class=text data-v="{step}"><a href="{escaped(address)}">step {step:,}</a></td>'
    if not links.text or not has_weights(links.folder / job.folder):
        return "<td class=text>-</td>"
    command = visible(inspect_command(links.folder / job.folder, links.text))
    return f"<td class=text><details><summary>command</summary><code>{escaped(command)}</code></details></td>"
