"""What a run does not use of its data: what stands behind blockSize in a document, and the case of letters.

Legend: N documents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gptlab.data.documents import AT_ONCE, TokenStream
from gptlab.data.tokenizers import Tokenizer, Vocabulary

LARGE = 1024  # positions; a document that is longer is rather cut into windows than made room for


@dataclass(frozen=True)
class Cutting:
    """Documents cut at blockSize: how many of how many, and how many of their predictions stand before the cut."""

    cut: int
    documents: int
    used: int
    predictions: int

    @property
    def share(self) -> str:
        """Of the predictions that are used: never 100%, since some are not."""
        return f"{math.floor(1000 * self.used / self.predictions) / 10:g}%"


def cutting_of(stream: TokenStream, blockSize: int) -> Cutting | None:
    """Of documents that are texts; None where none is cut. Goes through where they begin, not through their tokens."""
    if stream.longest <= blockSize:
        return None
    cut = used = 0
    count = len(stream.starts) - 1
    for first in range(0, count, AT_ONCE):
        bounds = stream.starts[first : first + AT_ONCE + 1]
        lengths = bounds[1:] - bounds[:-1]
        long = lengths > blockSize
        cut += int(long.sum())
        used += int(lengths.sum()) - int((lengths[long] - blockSize).sum())
    return Cutting(cut, count, used, int(stream.starts[count : count + 1][0]))


def cutting_note(stream: TokenStream, blockSize: int, has_unit: bool) -> str:
    """A line for a person, "" where nothing is cut. has_unit: whether the data has the key `data.unit`."""
    found = cutting_of(stream, blockSize)
    if found is None:
        return ""
    keys = ["data.unit=window"] if has_unit else []
    if not keys or stream.longest <= LARGE:
        keys.append(f"model.blockSize={stream.longest}")
    documents = f"{found.documents:,} document{'' if found.documents == 1 else 's'}"
    are = "is" if found.cut == 1 else "are"
    return (
        f"cut: {found.cut:,} of {documents} {are} longer than model.blockSize={blockSize}, and only {found.share} "
        f"of the tokens are used. To use all of them: {' or '.join(keys)}"
    )


class CaseLost:
    """Whether lower-casing changes a text that it has been told of: `found`. It looks until it finds one."""

    def __init__(self, tokenizer: Tokenizer):
        self.found = False
        self._asked = isinstance(tokenizer, Vocabulary) and tokenizer.lowercase

    def look(self, texts: Iterable[str]) -> None:
        if self._asked and not self.found:
            self.found = any(text != text.lower() for text in texts)


def case_note(origin: str) -> str:
    """A line for a person. origin: the run that the vocabulary is of, "" for the data's own."""
    if origin:
        return f"lower-cased: capitals of the data count as small letters, as in {origin}"
    return "lower-cased: capitals of the data count as small letters. To keep them: tokenizer.lowercase=false"
