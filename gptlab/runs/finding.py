"""Runs below ./runs, found again by what names them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from gptlab.errors import UserError
from gptlab.runs.checkpoint.folder import CHECKPOINTS, WEIGHTS
from gptlab.runs.files import CONFIG, RUN
from gptlab.runs.folder import RunFolder

RUNS = "runs"
ID = re.compile(r"[0-9A-Za-z_-]+")


def path_of(reference: str) -> Path:
    # Not pathlib's own questions: they raise for a name that is too long, or a user who is not there.
    return Path(os.path.expanduser(reference))


def folder_of(run_id: str) -> Path | None:
    """The folder below ./runs of the run with this MLflow id, be it written as runs:/ID or not."""
    wanted = run_id.removeprefix("runs:/").strip("/")
    if not wanted:
        return None
    folders = (file.parent for file in Path(RUNS).rglob(RUN))
    return next((folder for folder in folders if RunFolder(folder).id == wanted), None)


def run_of(checkpoint: Path) -> Path | None:
    """The run's folder that a checkpoint's folder lies in; None if it was put elsewhere."""
    run = checkpoint.absolute().parent.parent
    return run if (run / CONFIG).is_file() else None


def latest() -> Path:
    """The folder below ./runs whose weights are the newest."""
    return newest_with(
        WEIGHTS,
        UserError(
            f"run=latest needs a finished run below {Path(RUNS).absolute()}: there is none. "
            "Train one first: python -m gptlab +experiment=tiny"
        ),
    )


def newest_with(name: str, refusal: UserError) -> Path:
    """The folder below ./runs in whose checkpoints the file of this name is the newest.

    Raises `refusal` if there is none.
    """
    newest: tuple[int, Path] | None = None
    for file in Path(RUNS).rglob(f"{CHECKPOINTS}/step-*/{name}"):
        with suppress(FileNotFoundError):  # a run that goes on has just deleted it
            newest = max(newest or (0, file), (file.stat().st_mtime_ns, file))
    if newest is None:
        raise refusal
    return newest[1].parent.parent.parent
