"""Folders of runs and sweeps: made by Hydra before the run is known to be possible, held by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gptlab.checkpoint import CHECKPOINTS, RUN
from gptlab.errors import UserError

SWEEP = "multirun.yaml"  # what Hydra itself leaves in the folder of a sweep


def remove_if_unused(folder: Path, before: set[Path]) -> None:
    """Remove a run's folder unless step 1 was reached, with the parents that it alone was in.

    What was in it `before` the run stays: somebody may have chosen a folder that holds other things.
    """
    began = (folder / RUN).exists() or (folder / CHECKPOINTS).exists()
    if folder.is_dir() and not began:
        remove(folder, set(folder.iterdir()) - before)


def remove(folder: Path, files: set[Path]) -> None:
    for file in files:
        if file.is_file():
            file.unlink()
    for directory in (folder, *list(folder.parents)[:2]):
        try:
            directory.rmdir()  # only if empty
        except OSError:
            return


@contextmanager
def held(folder: Path, refusal: str) -> Iterator[None]:
    """Raises UserError with the words of `refusal` if another process holds the folder."""
    import fcntl  # here: there is none on Windows

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(refusal) from None
        yield
    finally:
        os.close(descriptor)
