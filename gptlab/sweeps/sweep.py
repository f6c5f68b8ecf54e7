"""A sweep's folder: sweep.json, which says what sweep it is and by what command it goes on; the lock on it."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from gptlab.errors import UserError
from gptlab.files import read_json
from gptlab.runs import claiming
from gptlab.runs.files import SWEEP, check_leads_nowhere
from gptlab.runs.finding import LATEST, RUNS, did_you_mean, named_here
from gptlab.runs.folder import SweepFolder
from gptlab.sweeps.record import RUNNING, record_files

STOP = "stop"  # there while jobs are asked to end
FORMAT = 1


@dataclass(frozen=True)
class Sweep:
    """id: the MLflow run that is the jobs' parent, empty without MLflow. command: the overrides as typed.

    swept: the keys whose values differ from job to job. status: RUNNING, FINISHED, FAILED or KILLED.
    page: the name of the page that it leaves at its end, empty for none.
    """

    name: str
    command: list[str]
    swept: list[str]
    id: str = ""
    status: str = RUNNING
    page: str = ""

    def write(self, folder: Path) -> None:
        """Have the sweep's folder tell it."""
        SweepFolder(folder).update(format=FORMAT, **asdict(self))


def read_sweep(folder: Path) -> Sweep:
    """Raises UserError if the folder holds no sweep, or one that this gptlab does not know."""
    path = folder / SWEEP
    if not path.is_file():
        raise UserError(f"a sweep's folder must hold {SWEEP}: {folder} does not.")
    told = read_json(path)
    try:
        if told["format"] != FORMAT:
            raise ValueError(f"its format is {told['format']}, not {FORMAT}")
        known = {field.name for field in fields(Sweep)}
        sweep = Sweep(**{key: value for key, value in told.items() if key in known})
        texts = [sweep.name, sweep.id, sweep.status, sweep.page, *sweep.command, *sweep.swept]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("it holds something that is not text")
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not as gptlab wrote it: {error}.") from None
    return sweep


def sweep_folder_of(reference: str) -> Path:
    """The folder of the sweep that `latest`, its parent's MLflow id, its name or the folder itself names.

    Raises UserError if there is no such sweep.
    """
    folder = Path(os.path.expanduser(reference))
    if os.path.isfile(folder / SWEEP):
        return folder.absolute()
    sweeps = list(Path(RUNS).rglob(SWEEP))
    if reference == LATEST and sweeps:
        return max(sweeps, key=lambda file: file.stat().st_mtime_ns).parent.absolute()
    named = None if reference == LATEST else named_here(reference)
    if isinstance(named, SweepFolder):
        return named.path.absolute()
    found = f"there is no '{reference}'" if reference != LATEST else "there is none"
    if named is not None and not os.path.isdir(folder):
        found = f"'{reference}' is a run, {os.path.relpath(named.path)}"
    elif close := did_you_mean(reference):
        found += f". {close.removesuffix('?')}"
    what = f"{folder} has no {SWEEP}" if os.path.isdir(folder) else found
    raise UserError(
        "sweep.resume must be latest, a sweep's folder, its name or the MLflow id of its parent run, and be below "
        f"{Path(RUNS).absolute()}: {what}. Leave sweep.resume out to begin a sweep."
    )


def hold_sweep(folder: Path, new: bool = False) -> AbstractContextManager[object]:
    """Hold the folder of a sweep, or claim it for a `new` one.

    Raises UserError if another process runs the sweep of this folder, it is not free for a new one, or leads elsewhere.
    """
    refusal = (
        f"a sweep must be run by one process at a time: another one is running {os.path.relpath(folder)}. Wait "
        "until it ends, stop it with Ctrl-C, or choose another folder with hydra.sweep.dir="
    )
    if new:
        return claiming.claimed(folder, claiming.check_free_for_sweep, refusal)
    for place in (folder, *(file.parent for file in record_files(folder))):
        check_leads_nowhere(place)
    return claiming.held(folder, refusal)


# What may differ when a sweep goes on: where and how its jobs run, nothing of what they learn.
FREE = re.compile(r"(sweep|anyway|progress|tracking|checkpoint|listeners?|hydra(?!.sweeper))\b")
RESUME = "sweep.resume"


def settled_by(overrides: list[str]) -> dict[str, str]:
    """What counts of a command, by its keys."""
    found = {text.partition("=")[0].lstrip("+~"): text for text in overrides}
    return {key: text for key, text in found.items() if not FREE.match(key)}


def refuse_other_command(sweep: Sweep, overrides: list[str], folder: Path) -> None:
    """Raises UserError that says what differs from the command that the sweep was begun with."""
    had, has = settled_by(sweep.command), settled_by(overrides)
    differing = []
    for key in had | has:
        if key not in has:
            differing.append(f"{had[key]} is missing")
        elif key not in had:
            differing.append(f"{has[key]} is new")
        elif has[key] != had[key]:
            differing.append(f"{has[key]} was {had[key]}")
    if differing:
        raise UserError(
            f"{RESUME} needs the command that began the sweep: {'; '.join(differing)}. The sweep in "
            f"{os.path.relpath(folder)} was begun with {shlex.join(sweep.command)}"
        )


def command_to_go_on(arguments: list[str], folder: Path) -> str:
    """What to type to have the rest done."""
    again = [text for text in arguments if not text.startswith(f"{RESUME}=")]
    below = Path(RUNS).absolute() in folder.parents
    reference = (SweepFolder(folder).id if below else "") or os.path.relpath(folder)
    return f"python -m gptlab {shlex.join([*again, f'{RESUME}={reference}'])}"
