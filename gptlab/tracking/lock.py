"""One process at a time writes a run: a resumed run waits for what its killed forerunner still has to write.

The file that is locked also says which MLflow run it is: a process may be killed before it is told.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from gptlab.errors import UserError

LOCK = ".mlflow"
WAITING_SECONDS = 60.0  # a forerunner writes what it has and ends; a dead server may hold it for a while


class Lock:
    """The lock of a run's folder; it dies with the process."""

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    @property
    def run_id(self) -> str:
        """The MLflow run that the last holder made, or an empty text."""
        return (
            "" if self._handle is None else os.pread(self._handle, 100, 0).decode("ascii", "ignore").strip()
        )

    def note(self, run_id: str) -> None:
        """Keep the id of the run that was made."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, run_id.encode("ascii"), 0)

    def release(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def alone(folder: Path) -> Lock:
    """Wait until no other process writes the run of this folder. Where the disk has no locks, this has none.

    Raises UserError if one still does after a minute.
    """
    import fcntl

    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return Lock(None)
    deadline = time.monotonic() + WAITING_SECONDS
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


def forget(folder: Path) -> None:
    """A new run begins in a folder that may have had another: its id must not be taken for this one's."""
    with suppress(OSError):
        (folder / LOCK).unlink(missing_ok=True)
