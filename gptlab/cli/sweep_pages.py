"""From the inspect page of a run to the sweep that it is a job of, and the page of a sweep's runs beside each other."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from gptlab.calling import as_called
from gptlab.errors import UserError
from gptlab.inspection.page import Way
from gptlab.inspection.step_pages import RunSteps, page_of_runs
from gptlab.loaded.over_steps import series_of_each
from gptlab.plugins.registry import Registry
from gptlab.runs.files import check_leads_nowhere
from gptlab.runs.finding import name_of
from gptlab.runs.folder import SweepFolder
from gptlab.runs.inspected import address, link_to_page, page_of_sweep, sweep_over
from gptlab.streams import show
from gptlab.sweeps.record import JobRecord, read_records
from gptlab.sweeps.values import ranked, shown_loss

MOST = 12  # runs on a page: a text of 8 tokens takes about 20 kB a step


def way_to_sweep(run: Path | None, output: Path) -> Way | None:
    """From a page in the file `output` to that of the sweep; None for a run that is alone, or whose sweep has none."""
    sweep = None if run is None else sweep_over(run)
    if sweep is None:
        return None
    place = shlex.quote(f"run={os.path.relpath(sweep.path)}")
    return way_from(output.absolute().parent, sweep, f"python -m gptlab inspect {place} steps=true")


def way_from(start: Path, sweep: SweepFolder, command: str = "") -> Way | None:
    link = link_to_page(sweep, start)
    there = link is not None and (sweep.path / page_of_sweep(sweep)).is_file()
    return Way(*link, command=command) if link is not None and there else None


def runs_beside_each_other(sweep: SweepFolder, registry: Registry, text: str | None, output: Path) -> str:
    """The page of the best runs of a sweep, MOST at most. Raises UserError if none of them can be shown."""
    check_leads_nowhere(sweep.path)
    order = ranked(read_records(sweep.path))
    if not order:
        raise UserError(
            f"a sweep's runs are those that are over: {os.path.relpath(sweep.path)} has none yet."
        )
    if len(order) > MOST:
        show(f"the best {MOST} of {len(order):,} runs are on the page", sys.stderr)
    jobs = {sweep.path / job.folder: (rank, job) for rank, job in enumerate(order[:MOST], start=1)}

    def left_out(folder: Path, why: str) -> None:
        show(as_called(f"{os.path.relpath(folder)} is left out: {why.rstrip('.')}"), sys.stderr)

    found = series_of_each(list(jobs), registry, text, left_out)
    start = output.absolute().parent
    runs = [
        RunSteps(job.name, told(rank, job), f"{address(folder, start)}/", found[folder])
        for folder, (rank, job) in jobs.items()
        if folder in found
    ]
    shown = runs[0].series[-1][1]["text"].replace("\n", r"\n")
    name = name_of(sweep) or os.path.relpath(sweep.path)
    return page_of_runs(runs, f'"{shown}" in runs of {name}', way_from(start, sweep))


def told(rank: int, job: JobRecord) -> str:
    """`2. nEmbd=16 seed=0: 3.1987`."""
    return f"{rank}. {job.name}: {shown_loss(job.score)}"
