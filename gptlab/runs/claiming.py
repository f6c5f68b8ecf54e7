"""Folders of runs and sweeps: claimed before anything is written into them, and one run's or one sweep's for ever."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gptlab.calling import command_with, shown
from gptlab.errors import UserError
from gptlab.files import Busy, Lock, lock
from gptlab.runs.checkpoint.folder import CHECKPOINTS
from gptlab.runs.files import (
    CONFIG,
    INSPECTIONS,
    JOB,
    METRICS,
    PICTURES,
    RUN_FILES,
    START,
    SWEEP,
    SWEEP_FILES,
    TOKENIZER,
)
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import STARTING

RUN_DIR, SWEEP_DIR = "hydra.run.dir=", "hydra.sweep.dir="


def check_free_for_run(folder: Path, key: str = RUN_DIR) -> None:
    """Raises UserError if the folder holds a run or a sweep, or files that a run's would replace.

    key: what chooses another. A run that was killed before its first step has left nothing that counts.
    """
    check_outside_runs(folder, key)
    if (folder / SWEEP).exists():
        raise UserError(
            f"a new run needs a folder of its own: {shown(folder)} has a sweep. Choose another with {key}"
        )
    if holds_run(folder):
        raise UserError(f"a new run needs a folder of its own: {what_is_there(folder, key)}")
    found = [name for name in RUN_FILES if os.path.lexists(folder / name)]
    if began_nothing(folder):
        found = [name for name in found if name not in START]
    if JOB in found:
        raise UserError(
            f"a new run needs a folder of its own: {shown(folder)} has a job of a sweep. Choose another with {key}"
        )
    if found:
        raise UserError(
            f"a new run must not replace your files: {shown(folder)} has {listed(found)}. Choose another folder "
            f"with {key}"
        )


def check_free_for_sweep(folder: Path) -> None:
    """Raises UserError if the folder holds a run or a sweep, or files that a sweep's would replace."""
    check_outside_runs(folder, SWEEP_DIR)
    if (folder / SWEEP).exists():
        raise UserError(
            f"a new sweep needs a folder of its own: {shown(folder)} has one. Choose another with "
            f"{SWEEP_DIR}, or go on with that one: sweep.resume={shown(folder)}"
        )
    if holds_run(folder):
        raise UserError(f"a new sweep needs a folder of its own: {what_is_there(folder, SWEEP_DIR)}")
    found = [name for name in SWEEP_FILES if os.path.lexists(folder / name)]
    found += sorted(file.name for file in folder.glob(PICTURES))
    if found:
        raise UserError(
            f"a new sweep must not replace your files: {shown(folder)} has {listed(found)}. Choose another folder "
            f"with {SWEEP_DIR}"
        )


def check_outside_runs(folder: Path, key: str) -> None:
    """Raises UserError for a folder within what a run keeps: one more file there and a checkpoint is damaged."""
    place = Path(os.path.realpath(folder))
    for inner in (place, *place.parents):
        if inner.name in (CHECKPOINTS, INSPECTIONS) and holds_run(inner.parent):
            raise UserError(
                f"a run's folder must not lie in another run's {inner.name}: {shown(folder)} does. "
                f"Choose another with {key}"
            )


def holds_run(folder: Path) -> bool:
    """Whether a run has begun there: as its run.json says, or, for want of one, by what only a run leaves."""
    status = status_in(folder)
    trained = os.path.exists(folder / METRICS) or any((folder / CHECKPOINTS).glob("step-*"))
    if status is not None:
        return status != STARTING or trained
    return trained and os.path.exists(folder / CONFIG) and os.path.exists(folder / TOKENIZER)


def began_nothing(folder: Path) -> bool:
    """Whether all that is gptlab's in the folder is of a run that was killed before its first step."""
    return status_in(folder) == STARTING and not holds_run(folder)


def status_in(folder: Path) -> str | None:
    """What run.json says of how a run is or has ended, empty in an older one; None where it is no run's."""
    found = RunFolder(folder).identity()
    return str(found.get("status", "")) if {"id", "name"} <= found.keys() else None


def what_is_there(folder: Path, key: str) -> str:
    place = shown(folder)
    if any((folder / CHECKPOINTS).glob("step-*")):
        return (
            f"{place} has the checkpoints of another. Choose another with {key}, or go on with that run: "
            f"{command_with(resume=folder)}"
        )
    return f"{place} has another run, which saved no checkpoint. Choose another with {key}"


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@contextmanager
def claimed(
    folder: Path, check: Callable[[Path], None] = check_free_for_run, refusal: str = ""
) -> Iterator[None]:
    """Hold a folder for something new, made if it is not there, which `check` must find free.

    Of what has not begun nothing is left at the end: neither the files that it started with nor the folders
    that were made for it. Raises UserError if it is not free, held by another process, or cannot be made.
    """
    if folder.is_dir():
        # That somebody is at work there is said before what lies there by now.
        held(folder, refusal).release()
    check(folder)
    with made(folder), held(folder, refusal):
        check(folder)  # it may have been somebody's until a moment ago
        remove_start(folder)  # of one that was killed
        try:
            yield
        finally:
            remove_start(folder)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Have a folder; of those that were made for it, the ones that nothing is in are gone afterwards.

    Raises UserError if it cannot be made.
    """
    mine: list[Path] = []
    try:
        try:
            for place in reversed([folder, *folder.parents]):
                if not place.exists():
                    with suppress(FileExistsError):  # somebody else has just made it, and it is theirs
                        place.mkdir()
                        mine.insert(0, place)
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"the folder must be writable: {folder}: {error.strerror}.") from None
        yield
    finally:
        remove_empty(mine)


def remove_empty(folders: list[Path]) -> None:
    """The innermost first, up to one that holds something."""
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return


def remove_start(folder: Path) -> None:
    """The files of a run that took no step, and nothing else."""
    if began_nothing(folder):
        for name in reversed(START):  # run.json, which says whose the others are, goes last
            with suppress(OSError):
                (folder / name).unlink()


def held(folder: Path, refusal: str = "") -> Lock:
    """Hold a folder. Raises UserError, with the words of `refusal`, if another process does; or if it cannot be opened.

    Without words: it trains the run of this folder.
    """
    while True:
        try:
            return lock(folder, 0.0)
        except Busy:
            raise UserError(
                refusal
                or f"a run must be trained by one process at a time: another one is training {shown(folder)}. "
                f"Wait until it ends, or stop it with Ctrl-C."
            ) from None
        except FileNotFoundError:  # another that came to nothing has just removed it
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"a run's folder must be readable: {folder}: {error.strerror}.") from None
