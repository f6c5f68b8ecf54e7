"""Reading text that a person points at, with errors that say what is wrong with it."""

from pathlib import Path

from gptlab.errors import UserError, nearest


def read_text(path: Path, key: str) -> str:
    """A UTF-8 file. Raises UserError (naming the config key) if it is missing, not text, or unreadable."""
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, siblings)
        guess = f" Did you mean {path.parent / close[0]}?" if close else ""
        raise UserError(f"{key} must be a file or folder that exists: there is no {path}.{guess}")
    try:
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")  # a byte order mark is no text
    except UnicodeDecodeError as error:
        raise UserError(
            f"{key} must be UTF-8 text: {path} has the byte 0x{error.object[error.start]:02x} at offset "
            f"{error.start}. Convert it first, e.g. iconv -f latin1 -t utf-8 {path.name}"
        ) from None
    except OSError as error:
        raise UserError(f"{key}: cannot read {path}: {error.strerror}.") from None


def text_files(path: Path, key: str) -> list[Path]:
    """The file itself, or every file below a folder in the order of their names; hidden ones left out."""
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


def read_documents(path: Path, key: str) -> list[str]:
    """One document a line, lines that are empty after trimming left out. Raises UserError if none is left."""
    texts = [read_text(file, key) for file in text_files(path, key)]
    # Not splitlines, which also cuts at form feeds, U+2028 and the like.
    documents = [line for text in texts for line in text.split("\n") if line.strip()]
    if not documents:
        raise UserError(f"{key} must hold at least one line of text: {path} is empty.")
    return documents
