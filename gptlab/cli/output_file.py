"""The file that a verb is to write, as it is named on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gptlab.errors import UserError

HEAD = 256  # bytes that tell what a file is


def write_output(path: Path, content: bytes) -> None:
    """Raises UserError for a file that cannot be written."""
    from gptlab.files import write_bytes

    try:
        write_bytes(path, content)
    except OSError as error:
        raise UserError(f"output must be a file that can be written: {path}: {error.strerror}.") from None


def output_file(output: str, example: str, what: str, is_one: Callable[[bytes], bool]) -> Path:
    """The file to write. example: `graph.svg`; what: `an SVG`; is_one: of a file's first bytes, whether it is that.

    Raises UserError for another suffix than the example's, for a file whose folder is not there, and for
    one that is there and something else.
    """
    path, suffix = Path(os.path.expanduser(output)), Path(example).suffix
    if path.suffix.lower() != suffix:
        raise UserError(f"output must be a file that ends in {suffix}: got '{output}'. Try output={example}.")
    if not os.path.isdir(path.parent):
        raise UserError(f"output must be in a folder that exists: {path.parent} is not one.")
    if os.path.lexists(path) and not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "a link to nowhere, a pipe or a device"
        raise UserError(f"output must be a file: {path} is {found}. Try output={example}.")
    start = b""
    try:
        with suppress(FileNotFoundError), path.open("rb") as file:
            start = file.read(HEAD)
    except OSError as error:
        raise UserError(f"output must be a file that can be written: {path}: {error.strerror}.") from None
    if start and not is_one(start):
        raise UserError(
            f"output replaces a file only if it is {what}, and {path} is not. Choose another name."
        )
    return path
