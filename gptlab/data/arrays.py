"""One-dimensional arrays that lie in files.

Legend: N places, W entries from each, M entries in all.
"""

from __future__ import annotations

import mmap
import os
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np

MAPPED = 128 << 20  # bytes; a longer file is read where it is asked for


class FileArray:
    """A file as an array (M,) of which nothing stays in memory.

    A map would do as well, were it not that whatever has been looked at through one counts as the process's
    own memory: a shuffled course through a long file soon has all of it, as one read shows up to 2 MB.
    """

    def __init__(self, path: Path, dtype: str):
        self.dtype = np.dtype(dtype)
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._length = os.fstat(self._file).st_size // self.dtype.itemsize
        weakref.finalize(self, os.close, self._file)
        mark_open(self._file)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(len(self))
        size = self.dtype.itemsize
        return np.frombuffer(os.pread(self._file, max(0, stop - start) * size, start * size), self.dtype)

    def runs(self, begins: np.ndarray, width: int) -> np.ndarray:
        """(N, W) the entries from each of these places (N,) on; 0 after the last one of the file."""
        size = self.dtype.itemsize
        offsets = (np.asarray(begins, dtype=np.int64) * size).tolist()
        read, file, count = os.pread, self._file, width * size
        rows = [read(file, count, offset) for offset in offsets]
        data = b"".join(rows)
        if len(data) < count * len(rows):
            data = b"".join([row.ljust(count, b"\0") for row in rows])
        return np.frombuffer(data, self.dtype).reshape(len(rows), width)


Array = np.ndarray | FileArray


def open_array(path: Path, dtype: str) -> Array:
    """Memory-mapped if it is not too long."""
    if path.stat().st_size > MAPPED:
        return FileArray(path, dtype)
    with path.open("rb") as file:
        mark_open(file.fileno())
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=dtype)


def runs(array: Array, begins: np.ndarray, width: int) -> np.ndarray:
    """(N, W) the entries from each of these places (N,) on; anything after the last one of the array."""
    if isinstance(array, FileArray):
        return array.runs(begins, width)
    return np.take(array, begins[:, None] + np.arange(width), mode="clip")


def mark_open(file: int) -> None:
    """Share a lock on the file, which lasts as long as the array: a map has the file, too."""
    import fcntl  # here: there is none on Windows

    with suppress(OSError):  # a disk that has no locks
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def is_open(path: Path) -> bool:
    """Whether a process, this one or another, has the file open as an array."""
    import fcntl

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it is gone, or its disk has no locks
        pass
    return False
