"""Tokenizers: text to ids and back. The last id is BOS, which begins and ends every document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gptlab.data.files import read_documents
from gptlab.errors import UserError, nearest


class Tokenizer(Protocol):
    """A vocabulary, settled. `state()` is what JSON keeps of it; the factory's `restore` reads it back."""

    @property
    def vocabSize(self) -> int:
        """All ids there are, BOS included."""
        ...

    @property
    def bos(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Ids without BOS. Raises UserError that names what is not in the vocabulary."""
        ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def state(self) -> dict[str, Any]: ...


class Vocabulary:
    """A Tokenizer that knows a fixed list of pieces: words, or characters."""

    def __init__(self, pieces: Sequence[str], unit: str):
        self.pieces = list(pieces)
        self.unit = unit
        self._ids = {piece: i for i, piece in enumerate(self.pieces)}

    @property
    def vocabSize(self) -> int:
        return len(self.pieces) + 1

    @property
    def bos(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        pieces = split(text, self.unit)
        try:
            return [self._ids[piece] for piece in pieces]
        except KeyError as missing:
            raise self._unknown(missing.args[0]) from None

    def decode(self, ids: Iterable[int]) -> str:
        return (" " if self.unit == "word" else "").join(self.pieces[i] for i in ids if i != self.bos)

    def state(self) -> dict[str, Any]:
        return {"pieces": self.pieces}

    def _unknown(self, piece: str) -> UserError:
        close = nearest(piece, self.pieces)
        guess = f" Near it: {', '.join(close)}." if close and self.unit == "word" else ""
        return UserError(
            f"the {self.unit} '{piece}' is not in the vocabulary of {len(self.pieces)} {self.unit}s.{guess} "
            f"Use {self.unit}s that the model has seen in training."
        )


def split(text: str, unit: str) -> list[str]:
    """Trimmed, lower-cased, then cut at single spaces, or into characters.

    In running text a line end counts as a space between words.
    """
    cleaned = text.strip().lower()
    if unit == "character":
        return list(cleaned)
    return re.sub(r"\s*\n\s*", " ", cleaned).split(" ") if cleaned else []


@dataclass(frozen=True)
class VocabularyTokenizer:
    """The base of the two built-in tokenizers.

    path: the file or folder whose documents make the vocabulary; by default the data itself.
    """

    path: str | None = None

    unit = "word"

    def build(self, documents: Sequence[str]) -> Vocabulary:
        """The vocabulary of these documents (or of those at `path`), sorted by code unit.

        Raises UserError if there is nothing in them.
        """
        texts = (
            documents if self.path is None else read_documents(Path(self.path).expanduser(), "tokenizer.path")
        )
        pieces = sorted({p for text in texts for p in split(text, self.unit)}, key=utf16)
        if not pieces:
            raise UserError(
                f"the vocabulary must have at least one {self.unit}, but the documents are empty."
            )
        return Vocabulary(pieces, self.unit)

    def restore(self, state: dict[str, Any]) -> Vocabulary:
        """The vocabulary that `state()` described."""
        return Vocabulary(state["pieces"], self.unit)


@dataclass(frozen=True)
class WordTokenizer(VocabularyTokenizer):
    """Words: documents trimmed, lower-cased and split at single spaces."""

    unit = "word"


@dataclass(frozen=True)
class CharTokenizer(VocabularyTokenizer):
    """Characters: documents trimmed and lower-cased."""

    unit = "character"


def utf16(piece: str) -> bytes:
    """What sorts by UTF-16 code unit, as JavaScript and Java do; Python's own order is by code point."""
    return piece.encode("utf-16-be", "surrogatepass")
