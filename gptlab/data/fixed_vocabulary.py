"""A vocabulary that is there already, in the place of a tokenizer that would build one of the data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gptlab import strict_json
from gptlab.data.content import NO_FILE, code_of, sha256
from gptlab.data.reading import pieces_of_texts
from gptlab.data.tokenizers import Tokenizer, Vocabulary, distinct, split
from gptlab.errors import UserError

SHOWN = 20  # of the pieces that are not in the vocabulary


@dataclass(frozen=True)
class FixedVocabulary:
    """A tokenizer component whose `build` gives what is there already.

    state: {"name": ..., ...state()} of that tokenizer. component: the one of that name. origin: where
    it comes from, for the error.
    """

    state: dict[str, Any]
    component: Any
    origin: str = field(metadata={NO_FILE: True})  # a run's folder, may be

    def build(self, documents: Iterable[str]) -> Tokenizer:
        """The tokenizer. Raises UserError for documents with words (or characters) that it does not know."""
        tokenizer = self.restore(self.state)
        if isinstance(tokenizer, Vocabulary) and type(tokenizer).encode is Vocabulary.encode:
            check_known(documents, tokenizer, self.origin)
        return tokenizer

    def restore(self, state: dict[str, Any]) -> Tokenizer:
        tokenizer: Tokenizer = self.component.restore(state)
        return tokenizer

    def settings(self) -> dict[str, Any]:
        """What the ids depend on: kept tokens of the same documents are those of the same settings."""
        vocabulary = sha256(strict_json.dumps(self.state, sort_keys=True, default=str))
        return {"name": self.state["name"], "vocabulary": vocabulary, "code": code_of(type(self.component))}


def check_known(documents: Iterable[str], vocabulary: Vocabulary, origin: str) -> None:
    """Raises UserError with the pieces of the documents that are not in the vocabulary, and where each comes first."""
    found = unknown_pieces(documents, vocabulary)
    if not found:
        return
    unit, count = vocabulary.unit, len(found)
    listed = ", ".join(f"'{piece}' (document {number:,})" for piece, number in list(found.items())[:SHOWN])
    more = f", and {count - SHOWN:,} more" if count > SHOWN else ""
    is_not = f"{count:,} {unit}s are not" if count > 1 else f"1 {unit} is not"
    raise UserError(
        f"every {unit} of the data must be in the vocabulary of {origin}, {len(vocabulary.pieces):,} {unit}s: "
        f"{is_not}. Each, with the first document that has it: {listed}{more}. Take them out of the data, or train "
        "without initFrom, on a vocabulary of its own."
    )


def unknown_pieces(documents: Iterable[str], vocabulary: Vocabulary) -> dict[str, int]:
    """What is not in the vocabulary, in order, each with the number (from 1) of the first document that has it."""
    known = set(vocabulary.pieces)
    found: dict[str, int] = {}
    number = 0
    for begins, some in pieces_of_texts(documents, vocabulary.unit):
        # What does not begin a text goes on with the one before.
        first = number + 1 if begins else number
        new = distinct(some, vocabulary.unit, vocabulary.lowercase) - known
        if new - found.keys():
            for i, text in enumerate(some):
                for piece in split(text, vocabulary.unit, vocabulary.lowercase):
                    if piece in new:
                        found.setdefault(piece, first + i)
        number = first + len(some) - 1
    return found
