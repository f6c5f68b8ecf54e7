"""What tells data apart: digests of the documents, and of the code that makes tokens of them."""

from __future__ import annotations

import hashlib
import inspect
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gptlab import strict_json
from gptlab.data.reading import FileTexts, RunningText, pieces_of_texts, text_files
from gptlab.data.watching import Watch
from gptlab.files import write_text

SETTLED = 2.0  # seconds; a file changed less than that ago may change again without a new time


@dataclass(frozen=True)
class Content:
    """documents: how many. joined: hex SHA-256 of them, joined by line ends. lengths: that of their lengths."""

    documents: int
    joined: str
    lengths: str


def content_of(texts: Iterable[str]) -> Content:
    """Goes through the texts once."""
    joined, lengths = hashlib.sha256(), hashlib.sha256()
    documents = length = 0
    for first, some in pieces_of_texts(texts):
        text = "\n".join(some)
        if first and documents:
            joined.update(b"\n")
        joined.update(text.encode("utf-8", "surrogatepass"))
        if isinstance(texts, RunningText):  # a part of a text
            if first and documents:
                lengths.update(f"{length},".encode())
            length = len(text) + (0 if first else length)
            documents += first
        else:
            lengths.update(np.fromiter(map(len, some), np.int64, len(some)).tobytes())
            documents += len(some)
    lengths.update(f"{length},".encode())
    return Content(documents, joined.hexdigest(), lengths.hexdigest())


def known_content(
    texts: Iterable[str], folder: Path, watch: Watch, anew: bool = False
) -> tuple[Content, bool]:
    """`content_of`, and whether it was remembered, in `folder`: for files of which nothing says that they have changed.

    anew: read them in any case.
    """
    if not isinstance(texts, FileTexts):
        with watch.reading("reading", texts):
            return content_of(texts), False
    stamp = [texts.kind, texts.stamp()]
    newest = max((max(times) for _, _, *times, _ in texts.stamp()), default=0)
    note = folder / f"{sha256(strict_json.dumps(stamp))}.content"
    sample = hashlib.sha256(texts.sample()).hexdigest()
    with suppress(OSError, ValueError, LookupError, TypeError):
        told = strict_json.loads(note.read_text("utf-8"))
        if not anew and told["sample"] == sample:
            return Content(**told["content"]), True
    now = time.time_ns()
    with watch.reading("reading", texts):
        content = content_of(texts)
    if [texts.kind, texts.stamp()] == stamp and now - newest > SETTLED * 1e9:
        with suppress(OSError):  # it would have to be read again, that is all
            write_text(note, strict_json.dumps({"sample": sample, "content": asdict(content)}))
    return content, False


NO_FILE = "no file"  # in a field's metadata: no file that ids depend on, even if there is one of that name


@runtime_checkable
class ReadsFiles(Protocol):
    """A tokenizer that says itself which files its ids depend on; of others those are found in their fields."""

    def files(self) -> list[Path]: ...


def identity_of(factory: Any, tokenizer: dict[str, Any]) -> dict[str, Any]:
    """What the ids depend on besides the documents: a tokenizer's settings, the files they name, its code."""
    identity: dict[str, Any] = {"settings": tokenizer, "code": code_of(type(factory))}
    if isinstance(factory, ReadsFiles):
        identity["files"] = [digest_of(file) for file in factory.files() if file.is_file()]
    elif is_dataclass(factory):
        values = [getattr(factory, f.name) for f in fields(factory) if NO_FILE not in f.metadata]
        paths = [Path(os.path.expanduser(v)) for v in values if isinstance(v, (str, Path)) and v]
        found = [path for path in paths if path.exists()]
        identity["files"] = [digest_of(file) for path in found for file in text_files(path, "tokenizer.path")]
    return identity


def code_of(kind: type) -> str:
    """A digest of the file that a class is written in, and of the others of its package."""
    try:
        file = Path(inspect.getfile(kind))
    except (TypeError, OSError):
        return "unknown"
    package = (file.parent / "__init__.py").exists()
    files = sorted(file.parent.glob("*.py")) if package else [file]
    return sha256("".join(digest_of(f) for f in files if f.is_file()))


def digest_of(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
