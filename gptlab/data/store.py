"""The folder in which tokens are kept between runs: entries that are whole or not there, and not too many.

<cache folder>/gptlab/tokens/<key>/header.json   sizes and digests of the entry's other files
<cache folder>/gptlab/tokens/.<key>.lock         held by the process that makes the entry
<cache folder>/gptlab/tokens/.<key>.<n>.part     an entry in the making
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.data.arrays import is_open
from gptlab.data.content import digest_of, sha256
from gptlab.data.watching import Watch
from gptlab.errors import UserError
from gptlab.files import Busy, lock, sync

LIMIT = 20 * 10**9  # bytes that all entries may take
STALE = 86400  # seconds after which nobody is still writing a small file
HEADER = "header.json"


def tokens_folder() -> Path:
    """In the user's cache folder, beside the compiled programs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "gptlab" / "tokens"


@contextmanager
def lasting(folder: Path) -> Iterator[None]:
    """Makes of the system's error at a write (disk full, no rights) one that says what to do about it."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"long data is tokenized once into the user's cache folder, which must be writable and have room: "
            f"{folder}: {error.strerror or error}. Name another: XDG_CACHE_HOME=FOLDER python -m gptlab ..."
        ) from None


@contextmanager
def locked(folder: Path, key: str, watch: Watch) -> Iterator[None]:
    """Nobody else makes this entry meanwhile. Ends with the process, however that ends."""
    path = folder / f".{key}.lock"
    with lasting(folder):
        try:
            held = lock(path, 0)
        except Busy:
            watch.note("data: another process is tokenizing the same; waiting for it")
            held = lock(path)
    with held:
        try:
            for part in folder.glob(f".{key}.*.part") if held.holds else ():  # of a process that was killed
                shutil.rmtree(part, ignore_errors=True)
            yield
        finally:
            if held.holds:
                path.unlink(missing_ok=True)


@contextmanager
def new_entry(folder: Path, key: str) -> Iterator[Path]:
    """A folder to fill, which takes the entry's place at the end; removed if anything else happens."""
    part = folder / f".{key}.{uuid.uuid4().hex}.part"
    try:
        with lasting(folder):
            part.mkdir()
        yield part
        with lasting(folder):
            for file in part.iterdir():
                sync(file)
            sync(part)
            remove(folder / key)
            try:
                os.rename(part, folder / key)
            except OSError:
                # Without locks another process may have been quicker; its entry is as good.
                if not (folder / key).exists():
                    raise
            sync(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove(entry: Path) -> None:
    """At once for all who look, then file by file. Who has it open goes on reading it."""
    gone = entry.with_name(f".{entry.name}.{uuid.uuid4().hex}.part")
    with suppress(FileNotFoundError):
        os.rename(entry, gone)
    shutil.rmtree(gone, ignore_errors=True)


def write_header(part: Path, content: dict[str, Any]) -> None:
    """The last file of an entry: what it says of itself, and how the others must be found."""
    files = {file.name: check_of(file) for file in sorted(part.iterdir())}
    body = {**content, "files": files}
    (part / HEADER).write_text(strict_json.dumps({"check": _digest(body), **body}), encoding="utf-8")


def read_header(entry: Path) -> dict[str, Any]:
    """Raises FileNotFoundError if there is no such entry, and ValueError if it is not as it was written."""
    header = strict_json.loads((entry / HEADER).read_text("utf-8"))
    if not isinstance(header, dict) or header.pop("check", None) != _digest(header):
        raise ValueError(f"{HEADER} is damaged")
    for name, check in header["files"].items():
        if check_of(entry / name, check[0]) != tuple(check):
            raise ValueError(f"{name} is damaged")
    with suppress(OSError):  # a cache that can only be read
        os.utime(entry / HEADER)  # last used now
    return header


def check_of(file: Path, expected: int | None = None) -> tuple[int, str]:
    """(bytes, hex SHA-256); without the digest if the size is not the one expected."""
    size = file.stat().st_size
    if expected is not None and size != expected:
        return size, ""
    return size, digest_of(file)


def _digest(body: dict[str, Any]) -> str:
    return sha256(strict_json.dumps(body, sort_keys=True))


def clean(folder: Path) -> None:
    """Remove what interrupted processes left, and the entries not used for longest while all are too much."""
    with suppress(OSError):  # others clean as well, and what is gone is gone
        _remove_leftovers(folder)
        _make_room(folder)


def _remove_leftovers(folder: Path) -> None:
    for part in folder.glob(".*.part"):
        if part.is_dir():
            path = folder / f".{part.name.split('.')[1]}.lock"
            with suppress(Busy), lock(path, 0) as held:  # Busy: its maker is at work
                if held.holds:
                    shutil.rmtree(part, ignore_errors=True)
                    path.unlink(missing_ok=True)
        elif part.is_file() and time.time() - part.stat().st_mtime > STALE:
            part.unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    used: list[tuple[float, int, Path]] = []
    for entry in folder.glob("[!.]*"):
        with suppress(OSError):
            files = [file.stat() for file in entry.iterdir()] if entry.is_dir() else [entry.stat()]
            last = (entry / HEADER if entry.is_dir() else entry).stat().st_mtime
            used.append((last, sum(file.st_size for file in files), entry))
    total = sum(size for _, size, _ in used)
    for _, size, entry in sorted(used, key=lambda row: row[0]):
        if total > LIMIT and not any(is_open(file) for file in entry.glob("*.bin")):
            remove(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
            total -= size
