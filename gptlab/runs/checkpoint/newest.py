"""A run's checkpoints, once written: which to use, which to remove, and the MLflow id that comes later."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gptlab.errors import UserError
from gptlab.files import sync
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.checkpoint.folder import (
    CHECKPOINTS,
    STATE,
    Checkpoint,
    Damaged,
    checkpoint_folders,
    read_checkpoint,
    state_as_bytes,
    write_synced,
)


def newest_whole(run_folder: Path) -> Checkpoint:
    """The newest whole checkpoint of a run; its `damaged` are the newer ones, which are not.

    Raises UserError if there is none.
    """
    damaged: list[Damaged] = []
    for folder in reversed(checkpoint_folders(run_folder)):
        try:
            return replace(read_checkpoint(folder), damaged=tuple(damaged))
        except UserError as error:
            damaged.append(Damaged(folder, str(error)))
    if damaged:
        raise UserError(f"the run must have a whole checkpoint: {run_folder} has none. {damaged[0].reason}")
    raise UserError(
        f"the run must have a checkpoint: there is none below {run_folder / CHECKPOINTS}. "
        "It ended before it saved any."
    )


def newest_or_refuse(run_folder: Path) -> Checkpoint:
    """The newest checkpoint; where that is damaged, raises UserError that offers the newest whole one."""
    checkpoint = newest_whole(run_folder)
    if checkpoint.damaged:
        raise UserError(f"{checkpoint.damaged[0].reason} The newest whole one is run={checkpoint.folder}")
    return checkpoint


def to_remove(losses: Mapping[int, float | None], keep: int) -> list[int]:
    """Of the checkpoints `{step: validation loss, or None}`, the steps of those that need not stay."""
    measured = {step: loss for step, loss in losses.items() if loss is not None}
    # Of equals the newest.
    best = min(measured, key=lambda step: (measured[step], -step), default=None)
    return [step for step in sorted(losses)[:-keep] if step != best]


def remove_checkpoint(folder: Path) -> None:
    """Out of sight first: a kill midway must leave no half of a checkpoint under its name."""
    hidden = folder.with_name(f".{folder.name}.old.part")
    shutil.rmtree(hidden, ignore_errors=True)
    os.rename(folder, hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def remove_leftovers(run_folder: Path) -> None:
    """What a process that was killed while it wrote or removed a checkpoint has left."""
    for folder in (run_folder / CHECKPOINTS).glob(".step-*.part"):
        shutil.rmtree(folder, ignore_errors=True)


UNNAMED = ".unnamed.part"  # what a checkpoint without its id is called for a moment


def name_run(folder: Path, run_id: str) -> None:
    """Have the state.json of a checkpoint say which MLflow run it is of, unless it does.

    A copy that shares all other files takes its place, so that what has its name is whole at all times. A checkpoint
    that is damaged stays as it is. Raises OSError if it cannot be written, or is gone.
    """
    old, sums = (folder / STATE).read_bytes(), (folder / SUMS).read_bytes()
    digest = hashlib.sha256(old).hexdigest().encode()
    try:
        state = json.loads(old)
        named = state["run"]["id"] != ""
    except (ValueError, LookupError, TypeError, RecursionError):
        return
    if named or digest not in sums:
        return
    state["run"]["id"] = run_id
    content = state_as_bytes(state)
    beside = folder.with_name(f".{folder.name}.named.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir()
        for file in folder.iterdir():
            if file.name not in (STATE, SUMS):
                share(file, beside / file.name)
        write_synced(beside / STATE, content)
        write_synced(beside / SUMS, sums.replace(digest, hashlib.sha256(content).hexdigest().encode()))
        sync(beside)
        unnamed = folder.with_name(f".{folder.name}{UNNAMED}")
        shutil.rmtree(unnamed, ignore_errors=True)
        os.rename(folder, unnamed)  # fails if it has been removed meanwhile
        os.rename(beside, folder)
        sync(folder.parent)
        shutil.rmtree(unnamed, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def share(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:  # a disk without links
        shutil.copy2(file, copy)


def put_back(run_folder: Path) -> None:
    """A checkpoint that was being given its id when the process was killed has its name again."""
    for unnamed in (run_folder / CHECKPOINTS).glob(f".step-*{UNNAMED}"):
        folder = unnamed.with_name(unnamed.name.removeprefix(".").removesuffix(UNNAMED))
        if not folder.exists():
            with suppress(OSError):
                os.rename(unnamed, folder)
