"""One process at a time writes a run: a resumed run waits for what its killed forerunner still has to write."""

import os
import time
from pathlib import Path

from gptlab.errors import UserError

LOCK = ".mlflow"
WAITING_SECONDS = 60.0  # a forerunner writes what it has and ends; a dead server may hold it for a while


class Lock:
    """The lock of a run's folder; it dies with the process."""

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def release(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def alone(folder: Path, seconds: float = WAITING_SECONDS) -> Lock:
    """Wait until no other process writes the run of this folder. Where the disk has no locks, this has none.

    Raises UserError if one still does after so many seconds.
    """
    import fcntl

    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return Lock(None)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Lock(handle)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(handle)
                raise UserError(
                    f"the run in {folder} is still being written to MLflow by another process: end that one first."
                ) from None
            time.sleep(0.1)
        except OSError:
            os.close(handle)
            return Lock(None)
