"""Which of a run's checkpoints to use: the newest one that is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gptlab.errors import UserError
from gptlab.runs.checkpoint.folder import (
    CHECKPOINTS,
    Checkpoint,
    Damaged,
    checkpoint_folders,
    read_checkpoint,
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
