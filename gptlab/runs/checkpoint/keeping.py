"""Which checkpoints stay: the newest ones, and the best by validation loss."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from gptlab.runs.checkpoint.folder import CHECKPOINTS


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
