"""Reading text that a person points at, with errors that say what is wrong with it."""

from collections.abc import Iterable
from pathlib import Path

from gptlab.data.reading import RunningText, TextLines
from gptlab.errors import UserError, nearest

IN_MEMORY = 16 << 20  # bytes of text that are simply read; of more, a block at a time is in memory


def text_files(path: Path, key: str) -> list[Path]:
    """The file itself, or every file below a folder in the order of their names; hidden ones left out.

    Raises UserError (naming the config key) if there is none.
    """
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, siblings)
        guess = f" Did you mean {path.parent / close[0]}?" if close else ""
        raise UserError(f"{key} must be a file or folder that exists: there is no {path}.{guess}")
    if not path.is_dir():
        return [path]
    files = sorted(
        p
        for p in path.rglob("*")
        if p.is_file() and not any(s.startswith(".") for s in p.relative_to(path).parts)
    )
    if not files:
        raise UserError(f"{key} must hold at least one file: {path} is an empty folder.")
    return files


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
