"""Files that are whole or not there at all: written beside, synced, renamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then put it in its place in one step."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(beside)
        sync(beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    def write(beside: Path) -> None:
        beside.write_text(text, encoding="utf-8")

    write_atomic(path, write)


def write_json(path: Path, content: Any) -> None:
    write_text(path, strict_json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """A JSON file. Raises UserError if it is missing or not JSON."""
    try:
        return parsed(path.read_bytes(), path)
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


def append_whole(path: Path, content: bytes) -> None:
    """Add `content` to the end of a file. Raises OSError; the file is then as it was."""
    with path.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            file.truncate(size)
            raise
