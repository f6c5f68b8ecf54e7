"""Runs and sweeps that MLflow's process sends whole by itself, after the command that trained them: a note of each.

The command notes the run before it ends; MLflow's process takes the note away once the store has all of the run, or
writes into it why it has not. Whatever is left, the next command tells, once.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError
from gptlab.files import read_json, state_folder, write_json

if TYPE_CHECKING:
    from gptlab.tracking.connection import Connection

FOLDER = "sending"
# Who ends these ends all that they have begun with them, MLflow's process too, or the machine goes away at once.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "KUBERNETES_SERVICE_HOST", "CI")
WAIT = "GPTLAB_WAIT"


def may_be_left() -> bool:
    """Whether what this process has begun may go on after it, as far as its surroundings tell."""
    first = own_id() == 1  # of a container, which ends with it
    return not first and not any(os.environ.get(name) for name in (WAIT, *JOBS))


def own_id() -> int:
    return os.getpid()


def notes_folder() -> Path | None:
    """Where the notes are; None for a user without a home."""
    folder = state_folder()
    return None if folder is None else folder / FOLDER


def note(folder: Path, store: str, writer: int) -> Path | None:
    """Note that the process `writer` sends what is in a folder to a store. None if that cannot be kept."""
    from gptlab.tracking import orphans

    notes, place = notes_folder(), str(folder.absolute())
    mark = orphans.process(writer)
    if notes is None or mark is None:
        return None
    path = note_of(notes, folder)
    try:
        notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(path, {"folder": place, "store": store, "writer": mark})
    except (OSError, ValueError):  # ValueError: a name that is no text
        return None
    return path


def hand_over(connection: Connection, note: Path, **message: Any) -> bool:
    """Send its last message to a process of MLflow's, which then goes on alone; False, and no note, if it is gone."""
    connection.send(**message, note=str(note))
    if connection.leave():
        return True
    end_note(note, "")
    return False


def end_note(path: Path, failure: str) -> None:
    """How it ended, to a note: nothing is left of it, or it tells why the store has not all."""
    with suppress(OSError, UserError):
        if not failure:
            path.unlink(missing_ok=True)
        elif path.exists():  # or else somebody has told of it meanwhile
            write_json(path, {**read_json(path), "failure": failure})


def failures() -> Iterator[str]:
    """A line for each run, and each sweep, that its process has not sent whole. Of each it is told once."""
    notes = notes_folder()
    paths = [] if notes is None or not notes.is_dir() else sorted(notes.glob("*.json"))
    if not paths:
        return
    # Each command asks: what it takes to tell is loaded where there is something.
    from gptlab.runs.files import SWEEP
    from gptlab.tracking import orphans

    for path in paths:
        with suppress(OSError):
            told = noted(path)
            folder = Path(told.get("folder", ""))
            failure = told.get("failure", "")
            if told and not failure and not orphans.is_gone(told["writer"]):
                continue  # it goes on, or nobody here can tell
            path.unlink(missing_ok=True)
            # Not of what is whole by now, or gone with its folder.
            if told and not is_whole(folder):
                failure = (failure or "its process ended before all was sent").rstrip(".")
                place = shlex.quote(os.path.relpath(folder))
                kind = "sweep" if (folder / SWEEP).is_file() else "run"
                yield (
                    f"mlflow: {told['store']}: the {kind} in {place} could not be written whole: {failure}. "
                    f"To send the rest: python -m gptlab sync {place}"
                )


def is_whole(folder: Path) -> bool:
    """Whether the store is known to have all of a run, or of a sweep and its runs; of what is gone, too."""
    from gptlab.runs.folder import SweepFolder, runs_below

    return all(
        each.identity().get("synced") is not False for each in [SweepFolder(folder), *runs_below(folder)]
    )


def wait_until_sent(folder: Path, seconds: float = 60.0) -> None:
    """Wait, no longer than this, until the process that sends the run or its sweep has ended, well or badly: it still
    makes something of it."""
    from gptlab.runs.inspected import sweep_over
    from gptlab.tracking import orphans

    notes, until = notes_folder(), time.monotonic() + seconds
    if notes is None:
        return
    path, sweep = note_of(notes, folder), sweep_over(folder)
    if sweep is not None and not path.exists():
        path = note_of(notes, sweep.path)
    while path.exists() and time.monotonic() < until:
        told = noted(path)
        if not told or told.get("failure") or orphans.is_gone(told["writer"]):
            return
        time.sleep(0.1)


def note_of(notes: Path, folder: Path) -> Path:
    place = str(folder.absolute()).encode(errors="surrogateescape")
    return notes / f"{hashlib.sha256(place).hexdigest()[:32]}.json"


def noted(path: Path) -> dict[str, Any]:
    """What a note tells; nothing if it is none."""
    try:
        found = read_json(path)
    except UserError:
        return {}
    texts = ("folder", "store", "writer")
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in texts):
        return {}
    return found if isinstance(found.get("failure", ""), str) else {}
