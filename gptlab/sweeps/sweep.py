"""A sweep's folder: sweep.json, which says what sweep it is, and the lock that keeps another out of it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from gptlab.errors import UserError
from gptlab.files import read_json
from gptlab.runs import claiming
from gptlab.runs.files import SWEEP
from gptlab.runs.folder import SweepFolder
from gptlab.sweeps.record import RUNNING

STOP = "stop"  # there while jobs are asked to end
RUNS = "runs"
FORMAT = 1


@dataclass(frozen=True)
class Sweep:
    """id: the MLflow run that is the jobs' parent, empty without MLflow. command: the overrides as typed.

    swept: the keys whose values differ from job to job. status: RUNNING, FINISHED, FAILED or KILLED.
    """

    name: str
    command: list[str]
    swept: list[str]
    id: str = ""
    status: str = RUNNING

    def write(self, folder: Path) -> None:
        """Have the sweep's folder tell it."""
        SweepFolder(folder).update(format=FORMAT, **asdict(self))


def read_sweep(folder: Path) -> Sweep:
    """Raises UserError if the folder holds no sweep, or one that this gptlab does not know."""
    path = folder / SWEEP
    if not path.is_file():
        raise UserError(f"a sweep's folder must hold {SWEEP}: {folder} does not.")
    kept = read_json(path)
    try:
        if kept["format"] != FORMAT:
            raise ValueError(f"its format is {kept['format']}, not {FORMAT}")
        known = {field.name for field in fields(Sweep)}
        sweep = Sweep(**{key: value for key, value in kept.items() if key in known})
        texts = [sweep.name, sweep.id, sweep.status, *sweep.command, *sweep.swept]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("it holds what is no text")
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path} must be as gptlab wrote it, and is not ({error}).") from None
    return sweep


def sweep_with_id(run_id: str) -> Path | None:
    """The folder below ./runs of the sweep whose parent run has this MLflow id, be it written as runs:/ID or not."""
    wanted = run_id.removeprefix("runs:/").strip("/")
    for file in Path(RUNS).rglob(SWEEP):
        with suppress(UserError):
            if wanted and read_sweep(file.parent).id == wanted:
                return file.parent
    return None


def sweep_folder_of(reference: str) -> Path:
    """The folder of the sweep that `latest`, its parent's MLflow id or the folder itself names.

    Raises UserError if there is no such sweep.
    """
    folder = Path(os.path.expanduser(reference))
    if os.path.isfile(folder / SWEEP):
        return folder.absolute()
    sweeps = list(Path(RUNS).rglob(SWEEP))
    if reference == "latest" and sweeps:
        return max(sweeps, key=lambda file: file.stat().st_mtime_ns).parent.absolute()
    with_id = sweep_with_id(reference)
    if with_id is not None:
        return with_id.absolute()
    found = f"there is no '{reference}'" if reference != "latest" else "there is none"
    what = f"{folder} has no {SWEEP}" if os.path.isdir(folder) else found
    raise UserError(
        "sweep.resume must be latest, a sweep's folder, or the MLflow id of its parent run, and the sweep be below "
        f"{Path(RUNS).absolute()}: {what}. Leave sweep.resume out to begin a sweep."
    )


def held(folder: Path, new: bool = False) -> AbstractContextManager[None]:
    """Hold the folder of a sweep, or claim it for a `new` one.

    Raises UserError if another process runs the sweep of this folder, or it is not free for a new one.
    """
    refusal = (
        f"a sweep must be run by one process at a time: another one runs that of {os.path.relpath(folder)}. "
        "Wait until it ends, stop it with Ctrl-C, or choose another folder with hydra.sweep.dir="
    )
    if new:
        return claiming.claimed(folder, claiming.check_free_for_sweep, refusal)
    return claiming.held(folder, refusal)
