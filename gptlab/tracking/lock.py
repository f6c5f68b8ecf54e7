"""One process at a time writes a run: a resumed run waits for what its killed forerunner still has to write."""

from pathlib import Path

from gptlab.errors import UserError
from gptlab.files import Busy, Lock, lock
from gptlab.runs.files import WRITING

WAITING_SECONDS = 60.0  # a forerunner writes what it has and ends; a dead server may hold it for a while


def alone(folder: Path, seconds: float = WAITING_SECONDS) -> Lock:
    """Wait until no other process writes the run of this folder.

    Raises UserError if one still does after so many seconds, and for a folder that cannot be written.
    """
    try:
        return lock(folder / WRITING, seconds)
    except Busy:
        raise UserError(
            f"the run in {folder} is still being written to MLflow by another process: end that one first."
        ) from None
    except OSError as error:
        raise UserError(f"the run's folder must be writable: {folder}: {error.strerror}.") from None
