"""Files that are whole or not there at all: written beside, synced, renamed. Locks, which die with their process."""

from __future__ import annotations

import errno
import math
import os
import stat
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError


def state_folder() -> Path | None:
    """Where gptlab keeps what it remembers for this user, by the XDG specification; None for a user without a home."""
    home = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = Path(home) if os.path.isabs(home) else Path.home() / ".local/state"
    except RuntimeError:
        return None
    return folder / "gptlab"


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, then put it in its place in one step."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(beside)
        sync(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    write_atomic(path, lambda beside: beside.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    write_text(path, strict_json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_regular(path: Path, offset: int = 0, size: int = -1) -> bytes:
    """The content of a file, or so many bytes of it from `offset` on.

    Raises OSError, also for a pipe or a device, which would be read for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "a pipe or a device", str(path))
    with open(descriptor, "rb") as file:
        file.seek(offset)
        return file.read(size)


def read_json(path: Path) -> Any:
    """A JSON file. Raises UserError if it is missing or not JSON."""
    try:
        return parsed(read_regular(path), path)
    except FileNotFoundError:
        raise UserError(f"a run's folder must hold {path.name}: there is no {path}.") from None
    except OSError as error:
        raise UserError(f"{path} must be JSON: {error}.") from None


def parsed(content: bytes, path: Path) -> Any:
    """JSON that stands in `path`. Raises UserError for what is none."""
    try:
        return strict_json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} must be JSON: {error}.") from None


def sync(path: Path) -> None:
    """What a file or a folder holds survives a loss of power from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class OpenFile:
    """A file to add to, which stays open. Raises OSError if it cannot be opened; it is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.close = weakref.finalize(self, os.close, self.descriptor)
        self._identity = os.fstat(self.descriptor)

    def size_at(self, path: Path) -> int | None:
        """In bytes; None if what is there is no more this file."""
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_size if os.path.samestat(found, self._identity) else None

    def append(self, content: bytes) -> None:
        """Add to its end. Raises OSError; the file is then as it was."""
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            os.ftruncate(self.descriptor, os.fstat(self.descriptor).st_size - (len(content) - len(rest)))
            raise


def append_whole(path: Path, content: bytes) -> None:
    """Add `content` to the end of a file. Raises OSError; the file is then as it was."""
    file = OpenFile(path)
    try:
        file.append(content)
    finally:
        file.close()


class Busy(Exception):
    """Another process holds the lock."""


class Lock:
    """The lock on a file or a folder. Where the disk has no locks nothing is held, as `holds` says."""

    def __init__(self, descriptor: int, holds: bool = True) -> None:
        self._descriptor: int | None = descriptor
        self.holds = holds

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        if self._descriptor is not None:
            if self.holds:
                import fcntl

                # A process that another thread is starting has the descriptor until it executes its program, and
                # would hold on to a lock that is let go by closing alone.
                with suppress(OSError):  # a disk that is away
                    fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
        self._descriptor = None


def lock(path: Path, seconds: float = math.inf) -> Lock:
    """Lock a folder, or a file, which is made if it is not there; wait so many seconds for who holds it.

    What is held is what has that name once it is held. Raises Busy, and OSError for what cannot be opened.
    """
    import fcntl  # here: there is none on Windows

    deadline = time.monotonic() + seconds
    while True:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if seconds == math.inf else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() >= deadline:
                raise Busy(path) from None
            time.sleep(0.1)
            continue
        except OSError:
            return Lock(descriptor, holds=False)  # a disk that has no locks
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return Lock(descriptor)
        os.close(descriptor)  # of what is gone
