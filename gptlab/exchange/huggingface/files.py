"""The files of a folder that somebody else made: only those in it are read, and of those nothing is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.runs.saved_run import shown

LARGEST = 64 << 20  # bytes of a JSON file
BLOBS = "blobs"  # where the hub's own client keeps what the links of its `snapshots` lead to


def file_in(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder; None if there is none.

    Raises UserError for a name that is a way out of the folder, and for a link to what lies elsewhere.
    """
    if Path(name).name != name or name in ("", ".", "..") or "\\" in name or "\0" in name:
        raise UserError(f"files of {folder} must lie in it: {shown(name)} does not.")
    path = folder / name
    try:
        if not path.exists():
            return None
        real, home = path.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} must be readable: {error}.") from None
    cached = home.parent.name == "snapshots" and real.parent == home.parent.parent / BLOBS
    if real.parent != home and not cached:
        raise UserError(
            f"files of {folder} must lie in it: {name} is a link to {real}. Put a copy in its place."
        )
    if not real.is_file():
        raise UserError(f"{path} must be a file: it is not one.")
    return path


def json_in(folder: Path, name: str) -> dict[str, Any] | None:
    """The object in a JSON file of the folder; None if there is no such file. Raises UserError for what is none."""
    path = file_in(folder, name)
    if path is None:
        return None
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(
                f"{path} must be a JSON object of at most {LARGEST:,} bytes: it has {path.stat().st_size:,}."
            )
        found = strict_json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} must be JSON: {error}.") from None
    except OSError as error:
        raise UserError(f"{path} must be readable: {error.strerror or error}.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} must be a JSON object: it is not one.")
    return found
