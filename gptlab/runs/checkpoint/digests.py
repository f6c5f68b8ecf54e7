"""SHA256SUMS: the digests of a folder's other files, as sha256sum writes them and `sha256sum -c` checks them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from gptlab.errors import UserError
from gptlab.files import read_regular

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def sums_of(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode("utf-8")


def read_verified(folder: Path) -> dict[str, bytes]:
    """The content of each file of a folder that is exactly what its SHA256SUMS says, to the byte.

    What is read is what was checked: a file that changes afterwards makes no difference.
    Raises UserError that names the file for one that is changed, missing, too many or not readable.
    """
    while True:
        before = identity(folder)
        try:
            return read_once(folder)
        except UserError:
            # Another may have taken its place meanwhile: the same checkpoint, with the id of its MLflow run.
            if identity(folder) == before:
                raise


def identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_once(folder: Path) -> dict[str, bytes]:
    try:
        names = sorted(path.name for path in folder.iterdir())
        content = {name: read_regular(folder / name) for name in names}
    except OSError as error:
        raise UserError(
            f"a checkpoint's files must be readable: {error.filename}: {error.strerror}."
        ) from None
    if SUMS not in content:
        raise UserError(f"a checkpoint must have its digests: there is no {folder / SUMS}.")
    sums = content.pop(SUMS)
    if sums != sums_of(content):
        raise UserError(difference(folder, sums, content))
    return content


def difference(folder: Path, sums: bytes, content: Mapping[str, bytes]) -> str:
    """What of a folder is not as its digests say."""
    lines = [LINE.fullmatch(line) for line in sums.decode("utf-8", "replace").splitlines()]
    said = {line[2]: line[1] for line in lines if line}
    for name in sorted({*said, *content}):
        if name not in content:
            # A name that is damaged in the list shows as a file that is not there; either way it is not whole.
            return f"a checkpoint must be whole: {folder / name}, which {SUMS} names, is missing."
        if name not in said:
            return f"a checkpoint must be whole: {folder / name} is not in its {SUMS}."
        if hashlib.sha256(content[name]).hexdigest() != said[name]:
            return (
                f"a checkpoint must be whole: {folder / name} is damaged (its SHA-256 is not that in {SUMS})."
            )
    return f"a checkpoint must be whole: {folder / SUMS} is damaged."
