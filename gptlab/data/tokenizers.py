"""Tokenizers: text to ids and back. One id is BOS, which begins and ends every document: the last one, as a rule."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gptlab.data.reading import pieces_of_texts, read_documents
from gptlab.errors import UserError, nearest

UNKNOWN = 255  # in place of an id
SAMPLE = 1 << 12  # characters


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


@runtime_checkable
class TypedTokenizer(Tokenizer, Protocol):
    """A Tokenizer that can also tell what is typed at the ends of a text: for prompts in running text."""

    def encode_typed(self, text: str) -> list[int]:
        """As `encode`, but nothing is trimmed."""
        ...


@runtime_checkable
class InBatches(Tokenizer, Protocol):
    """A Tokenizer that takes many texts at once, and parts of running text.

    parted: where a text may be cut, as `reading.last_token_boundary` knows it; None for between any two characters.
    quick: whether texts are encoded about as quickly as another process could be given them.
    """

    @property
    def parted(self) -> str | None: ...

    @property
    def quick(self) -> bool: ...

    def encode_all(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`encode` of many texts: their ids (M,) one after another, and how many each has (N,)."""
        ...


@runtime_checkable
class EndsOtherwise(Tokenizer, Protocol):
    """A Tokenizer of texts that end with other tokens than BOS, too, or whose BOS is not the last id."""

    @property
    def ends(self) -> tuple[int, ...]:
        """The ids that end a text, BOS first."""
        ...


def ends_of(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that end a text."""
    return tokenizer.ends if isinstance(tokenizer, EndsOtherwise) else (tokenizer.bos,)


def ends_told(tokenizer: Tokenizer) -> dict[str, tuple[int, ...]]:
    """The argument `ends` of a Session's `generate`: nothing where BOS is the last id and ends a text alone."""
    ends = ends_of(tokenizer)
    return {} if ends == (tokenizer.vocabSize - 1,) else {"ends": ends}


class Vocabulary:
    """A Tokenizer that knows a fixed list of pieces: words, or characters. lowercase: whether it lower-cases texts."""

    def __init__(self, pieces: Sequence[str], unit: str, lowercase: bool = True):
        self.pieces = list(pieces)
        self.unit = unit
        self.lowercase = lowercase
        self._ids = {piece: i for i, piece in enumerate(self.pieces)}

    @property
    def vocabSize(self) -> int:
        return len(self.pieces) + 1

    @property
    def bos(self) -> int:
        return len(self.pieces)

    @property
    def parted(self) -> str:
        return self.unit

    @property
    def quick(self) -> bool:
        return self.unit == "character"

    def encode(self, text: str) -> list[int]:
        pieces = split(text, self.unit, self.lowercase)
        try:
            return [self._ids[piece] for piece in pieces]
        except KeyError as missing:
            raise self._unknown(missing.args[0]) from None

    def encode_typed(self, text: str) -> list[int]:
        """As `encode`; of characters, also the spaces and line ends around the text. Raises UserError likewise."""
        if self.unit != "character" or type(self).encode is not Vocabulary.encode:
            return self.encode(text)
        return self._encode_characters(cased(text, self.lowercase)).tolist()

    def encode_all(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """`encode` of many texts: their ids (M,) one after another, and how many each text has (N,)."""
        if self.unit == "character":
            cleaned = trimmed(texts, self.lowercase)
            lengths = np.fromiter(map(len, cleaned), np.int64, len(cleaned))
            return self._encode_characters("".join(cleaned)), lengths
        words, counts = words_of(texts, self.lowercase)
        try:
            return np.fromiter(map(self._ids.__getitem__, words), np.int32, len(words)), counts
        except KeyError as missing:
            raise self._unknown(missing.args[0]) from None

    def _encode_characters(self, text: str) -> np.ndarray:
        if text.isascii() and self.bos < UNKNOWN:  # a byte each, three times as quick
            encoded = text.encode("ascii").translate(self._by_byte)
            if (unknown := encoded.find(UNKNOWN)) >= 0:
                raise self._unknown(text[unknown])
            return np.frombuffer(encoded, dtype=np.uint8)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.dtype("<u4"))
        ids = np.take(self._by_code, codes, mode="clip")
        if ids.min(initial=0) < 0:
            raise self._unknown(text[int(np.argmin(ids))])
        return ids

    @cached_property
    def _by_byte(self) -> bytes:
        """The id by ASCII code; UNKNOWN for what is no piece."""
        return bytes(self._ids.get(chr(code), UNKNOWN) if code < 128 else UNKNOWN for code in range(256))

    @cached_property
    def _by_code(self) -> np.ndarray:
        """The id by code point; -1 for what is no piece, and in the last entry for all that is beyond."""
        codes = {ord(piece): i for piece, i in self._ids.items() if len(piece) == 1}
        table = np.full(max(codes, default=0) + 2, -1, dtype=np.int32)
        table[list(codes)] = list(codes.values())
        return table

    def decode(self, ids: Iterable[int]) -> str:
        return (" " if self.unit == "word" else "").join(self.pieces[i] for i in ids if i != self.bos)

    def state(self) -> dict[str, Any]:
        # What has no such key lower-cases, as all did once.
        return {"pieces": self.pieces} | ({} if self.lowercase else {"lowercase": False})

    def _unknown(self, piece: str) -> UserError:
        close = nearest(piece, self.pieces)
        guess = f" Near it: {', '.join(close)}." if close and self.unit == "word" else ""
        return UserError(
            f"the {self.unit} '{piece}' is not in the vocabulary of {len(self.pieces)} {self.unit}s.{guess} "
            f"Use {self.unit}s that the model has seen in training."
        )


def in_batches(tokenizer: Tokenizer) -> InBatches | None:
    """The tokenizer if it takes texts so; a Vocabulary with an `encode` of its own does not."""
    if isinstance(tokenizer, Vocabulary) and type(tokenizer).encode is not Vocabulary.encode:
        return None
    return tokenizer if isinstance(tokenizer, InBatches) else None


def cased(text: str, lowercase: bool) -> str:
    return text.lower() if lowercase else text


def trimmed(texts: Iterable[str], lowercase: bool) -> list[str]:
    stripped = map(str.strip, texts)
    return list(map(str.lower, stripped) if lowercase else stripped)


def split(text: str, unit: str, lowercase: bool = True) -> list[str]:
    """Trimmed, lower-cased unless that is not wanted, then cut at single spaces, or into characters.

    In running text a line end counts as a space between words.
    """
    if unit == "character":
        return list(cased(text.strip(), lowercase))
    return words_of([text], lowercase)[0]


def words_of(texts: Sequence[str], lowercase: bool = True) -> tuple[list[str], np.ndarray]:
    """The words of all texts, and (N,) how many each has."""
    cleaned = trimmed(texts, lowercase)
    if any("\n" in text for text in cleaned):
        cleaned = [" ".join(filter(None, map(str.strip, text.split("\n")))) for text in cleaned]
    joined = " ".join(filter(None, cleaned))
    counts = np.fromiter((text.count(" ") + 1 if text else 0 for text in cleaned), np.int64, len(cleaned))
    return joined.split(" ") if joined else [], counts


def distinct(texts: Sequence[str], unit: str, lowercase: bool = True) -> set[str]:
    """The pieces that the texts are made of."""
    if unit == "word":
        return set(words_of(texts, lowercase)[0])
    joined = "".join(trimmed(texts, lowercase))
    if not joined.isascii():
        return set(joined)
    # Most of what there is comes up soon; the rest is looked for in one pass over bytes.
    frequent = bytes(set(joined[:SAMPLE].encode("ascii")))
    return set(map(chr, frequent + bytes(set(joined.encode("ascii").translate(None, frequent)))))


@dataclass(frozen=True)
class VocabularyTokenizer:
    """The base of the tokenizers whose vocabulary is a list of pieces.

    path: the file or folder whose documents make the vocabulary; by default the data itself. lowercase: whether
    capitals count as small letters.
    """

    path: str | None = None
    lowercase: bool = True

    unit = "word"

    def __post_init__(self) -> None:
        if self.path is not None and not self.path.strip():
            raise UserError(
                "tokenizer.path must be given, or null: got nothing. Type tokenizer.path=corpus.txt"
            )

    def build(self, documents: Iterable[str]) -> Vocabulary:
        """The vocabulary of these documents (or of those at `path`), sorted by code unit.

        Raises UserError if there is nothing in them.
        """
        if self.path is not None:
            documents = read_documents(Path(os.path.expanduser(self.path)), "tokenizer.path")
        found: set[str] = set()
        for _, some in pieces_of_texts(documents, self.unit):
            found |= distinct(some, self.unit, self.lowercase)
        pieces = sorted(found, key=utf16)
        if not pieces:
            raise UserError(
                f"the vocabulary must have at least one {self.unit}, but the documents are empty."
            )
        return Vocabulary(pieces, self.unit, self.lowercase)

    def restore(self, state: dict[str, Any]) -> Vocabulary:
        """The vocabulary that `state()` described. Raises KeyError or TypeError for what describes none."""
        pieces = state["pieces"]
        if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
            raise TypeError("a vocabulary's pieces must be texts")
        lowercase = state.get("lowercase", True)
        if not isinstance(lowercase, bool):
            raise TypeError("a vocabulary's lowercase must be true or false")
        return Vocabulary(pieces, self.unit, lowercase)


@dataclass(frozen=True)
class WordTokenizer(VocabularyTokenizer):
    """Words: documents trimmed, lower-cased (lowercase=false: not) and split at single spaces."""


@dataclass(frozen=True)
class CharTokenizer(VocabularyTokenizer):
    """Characters: documents trimmed and lower-cased (lowercase=false: not)."""

    unit = "character"


def utf16(piece: str) -> bytes:
    """What sorts by UTF-16 code unit, as JavaScript and Java do; Python's own order is by code point."""
    return piece.encode("utf-16-be", "surrogatepass")
