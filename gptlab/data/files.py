"""Reading text that a person points at, with errors that say what is wrong with it."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gptlab.data.reading import RunningText, TextLines, check_start
from gptlab.errors import UserError, nearest

IN_MEMORY = 16 << 20  # bytes of text that are simply read; of more, a block at a time is in memory


def text_files(path: Path, key: str) -> list[Path]:
    """The file itself, or every file below a folder in the order of their names; hidden ones left out.

    Raises UserError (naming the config key) if there is none, and for the first that cannot be read or is no text:
    a folder such as / is not gone through to its end for that.
    """
    try:
        if not path.exists():
            if path.is_symlink():
                raise UserError(
                    f"{key} must be a file or folder that exists: {path} is a link to {path.readlink()}."
                )
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            close = nearest(path.name, siblings)
            guess = f" Did you mean {path.parent / close[0]}?" if close else ""
            raise UserError(f"{key} must be a file or folder that exists: there is no {path}.{guess}")
        if path.is_dir():
            files = list(files_below(path, key))
        elif path.is_file():
            files = [path]
        else:
            raise UserError(
                f"{key} must be a file or a folder of files, which can be read more than once: {path} is a pipe or a "
                "device. Write what comes from it to a file first."
            )
    except OSError as error:
        where = error.filename or path
        raise UserError(f"{key}: cannot read {where}: {error.strerror}.") from None
    if not files:
        raise UserError(f"{key} must hold at least one file: {path} is an empty folder.")
    return files


def files_below(folder: Path, key: str) -> Iterator[Path]:
    """The files in a folder and in the folders of it, in the order of their names; links to folders are not followed.

    Raises OSError for what cannot be read, and UserError for a file that does not begin as text.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path), key)
        elif entry.is_file():
            check_start(Path(entry.path), key)
            yield Path(entry.path)


def read_documents(path: Path, key: str) -> Iterable[str]:
    """One document a line, lines that are empty after trimming left out; a list, unless they are many.

    Raises UserError for a file that is missing, unreadable or not UTF-8, and if no line is left.
    """
    lines = TextLines(path, text_files(path, key), key)
    return list(lines) if lines.size <= IN_MEMORY else lines


def read_running_text(path: Path, key: str) -> Iterable[str]:
    """A text a file, blank files left out; a list, unless they are long. Raises UserError likewise."""
    texts = RunningText(path, text_files(path, key), key)
    return list(texts) if texts.size <= IN_MEMORY else texts
