"""From a sweep's page to what lies beside it: the folder of each job, its inspect page, or the command for one."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gptlab.drawing.report_page import escaped
from gptlab.runs.checkpoint.folder import CHECKPOINTS
from gptlab.runs.folder import RunFolder
from gptlab.runs.inspected import inspection_page, inspections_of
from gptlab.streams import visible
from gptlab.sweeps.record import JobRecord

GPTLAB = ("python", "-m", "gptlab")
PLAIN = re.compile(r"[a-z]+( [a-z]+){0,3}")  # a text that needs no thought in a shell or in Hydra's grammar
SIDES = "inspect.html"  # where the page of runs beside each other is to lie, in the sweep's folder
SOME_TEXT = "a text"  # to be replaced by one of the run's own words


def way(folder: str) -> str:
    """To a job's folder, as an address that leads nowhere but into folders."""
    return f"./{quote(folder.replace(os.sep, '/'), errors='replace')}/"


def newest_inspection(folder: Path, job: JobRecord) -> tuple[str, int] | None:
    """The address of the last inspect page of the job, from the sweep's folder, and its step."""
    steps = inspections_of(folder / job.folder)
    return (f"{way(job.folder)}{inspection_page(steps[-1])}", steps[-1]) if steps else None


def has_weights(run: Path) -> bool:
    return (run / CHECKPOINTS).is_dir()


def inspect_command(run: Path, text: str) -> str:
    """What makes the inspect page of the job in this folder, for a shell."""
    return shlex.join([*GPTLAB, "inspect", f"run={os.path.relpath(run)}", f"text={text}", "to=html"])


def side_by_side_command(folder: Path, text: str) -> str:
    """What makes the page of the sweep's runs beside each other. text: empty for what the runs have kept."""
    place = os.path.relpath(folder)
    texts = [f"text={text}"] if text else []
    return shlex.join(
        [*GPTLAB, "inspect", f"run={place}", "steps=true", *texts, f"output={os.path.join(place, SIDES)}"]
    )


def side_by_side(folder: Path, runs: Sequence[Path], text: str) -> str:
    """How runs are seen beside each other, as markup: over the steps that they have kept, or over their checkpoints."""
    kept = sum(len(inspections_of(run)) > 0 for run in runs)
    command = side_by_side_command(folder, "" if kept > 1 else text)
    of_what = "the inspect pages that they have kept" if kept > 1 else "their checkpoints"
    return (
        '<p class="soft">Two runs beside each other, the same text at the same step: attention, heads and next words, '
        f"with a slider over the steps of {of_what}. This makes the page:</p>"
        f"<pre>{escaped(visible(command))}</pre>"
        f'<p class="soft">You find it beside this one: <a href="./{SIDES}">{SIDES}</a></p>'
    )


def text_of(runs: Sequence[Path]) -> str:
    """A text that the first of these runs have words for, since they have written it; empty if none has weights.

    One for all: the runs of a sweep mostly have the same data. It needs no quoting, or else it is SOME_TEXT.
    """
    if not any(map(has_weights, runs)):
        return ""
    for run in runs[:3]:
        for _, texts in reversed(RunFolder(run).samples()):
            for text in texts:
                if PLAIN.fullmatch(text):
                    return text
    return SOME_TEXT
