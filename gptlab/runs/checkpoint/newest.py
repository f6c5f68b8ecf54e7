"""Which of a run's checkpoints to use: the newest one that is whole."""

from __future__ import annotations

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
