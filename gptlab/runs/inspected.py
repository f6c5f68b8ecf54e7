"""The inspect pages in a run's folder, and the page of the sweep or the ablation that the run is a job of."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from gptlab.runs.checkpoint.folder import step_of
from gptlab.runs.files import ABLATION_PAGE, INSPECTION, INSPECTIONS, SWEEP, SWEEP_PAGE
from gptlab.runs.finding import name_of
from gptlab.runs.folder import SweepFolder

PAGES = (SWEEP_PAGE, ABLATION_PAGE)
DEEPEST = 4  # folders between a sweep's and a job's, see hydra.sweep.subdir


def inspections_of(run: Path) -> list[int]:
    """The steps of which the run's folder has an inspect page, or what MLflow's process makes it of; ascending."""
    steps: set[int] = set()
    try:
        with os.scandir(run / INSPECTIONS) as entries:
            for entry in entries:
                step = step_of(Path(entry.name.removesuffix(".npz")))
                drawn = entry.name.endswith(".npz") or os.path.isfile(Path(entry.path, INSPECTION))
                if step is not None and drawn:
                    steps.add(step)
    except (OSError, ValueError):  # no path at all, if a stranger named it
        return []
    return sorted(steps)


def inspection_page(step: int) -> str:
    """Where the page of a step lies, from the run's folder."""
    return f"{INSPECTIONS}/step-{step:06d}/{INSPECTION}"


def address(path: Path, start: Path) -> str:
    """The way from a folder to a file or a folder, for a link on a page."""
    way = os.path.relpath(path.absolute(), start.absolute()).replace(os.sep, "/")
    return f"./{quote(way, errors='replace')}"


def sweep_over(run: Path, deepest: int | None = DEEPEST) -> SweepFolder | None:
    """The sweep, or the ablation, that the run in this folder is a job of; None for one that is alone.

    deepest: how many folders are looked at; None: all.
    """
    for folder in list(run.absolute().parents)[:deepest]:
        if (folder / SWEEP).is_file():
            return SweepFolder(folder)
    return None


def page_of_sweep(sweep: SweepFolder) -> str:
    """The name of the page that it leaves in its folder, or will leave once it ends; empty if it leaves none."""
    told = sweep.identity().get("page")
    if told in PAGES:  # a stranger's may name anything
        return str(told)
    # An earlier gptlab told of none.
    return next((name for name in PAGES if (sweep.path / name).is_file()), "")


def link_to_page(sweep: SweepFolder, start: Path) -> tuple[str, str] | None:
    """What the sweep is called, and the address of its page from the folder `start`; None if it leaves none."""
    page = page_of_sweep(sweep)
    return (name_of(sweep) or "a sweep", address(sweep.path / page, start)) if page else None
