"""Metrics: what is measured on held-out documents besides the loss.

Legend: T positions of a row, which documents may share, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gptlab.engines.measured import DOCUMENT, RATIO
from gptlab.model.slicing import FREQUENCY

Right = tuple[
    Any, Any
]  # of each position (T,) how right it is, and how much it counts; of a ratio its two numbers
PART = "\N{REPLACEMENT CHARACTER}"  # what a tokenizer decodes a part of a character to


@runtime_checkable
class CountsBytes(Protocol):
    """What a tokenizer may have besides: how many bytes (UTF-8) a token is, parts of a character included."""

    def bytes_in(self, token: int) -> int: ...


@dataclass(frozen=True)
class Accuracy:
    """The share of the tokens that count which have the largest logit."""

    def __call__(self, xp: Any, logits: Any, tokens: Any, targets: Any, counts: Any) -> Right:
        return xp.argmax(logits, axis=-1) == targets, counts


@dataclass(frozen=True)
class ExactMatch(Accuracy):
    """The share of the documents of which each token that counts has the largest logit.

    Each is predicted after the true ones before it: where all are right, greedy decoding writes the same.
    """

    of = DOCUMENT
    ofAnswers = True


@dataclass(frozen=True)
class LossByFrequency:
    """The cross-entropy in nats of tokens that are rare, uncommon, common and frequent in the training documents.

    Each is about a quarter of what is to be predicted there; see `Frequency`.
    """

    slicedBy = FREQUENCY

    def __call__(self, xp: Any, logits: Any, tokens: Any, targets: Any, counts: Any) -> Right:
        return nats(xp, logits, targets), counts


@dataclass(frozen=True)
class BitsPerByte:
    """The cross-entropy in bits of what counts, over the bytes (UTF-8) of its text: it compares across tokenizers.

    The end of a document costs bits, and is no byte. Of a tokenizer that cuts characters into parts, and has no
    `bytes_in(token)`, each part is taken for one byte: exact for single bytes, too few for parts of two and three.
    """

    def for_tokens(self, tokenizer: Any) -> BitsPerByteOf:
        first, later = zip(*(bytes_of(tokenizer, token) for token in range(tokenizer.vocabSize)), strict=True)
        return BitsPerByteOf(first, later, int(tokenizer.bos))


@dataclass(frozen=True)
class BitsPerByteOf:
    """Bits per byte in a vocabulary that is known.

    first, later: (V,) the bytes of a token that a text begins with, and of one within it: a word has a space before
    it there. bos: what texts begin after.
    """

    first: tuple[int, ...]
    later: tuple[int, ...]
    bos: int

    of = RATIO

    def __call__(self, xp: Any, logits: Any, tokens: Any, targets: Any, counts: Any) -> Right:
        first, later = (xp.asarray(sizes, dtype=logits.dtype)[targets] for sizes in (self.first, self.later))
        # Where nothing counts the logits may be no numbers, and 0 times those is none either.
        bits = xp.where(counts > 0, nats(xp, logits, targets) / math.log(2), 0)
        return counts * bits, counts * xp.where(tokens == self.bos, first, later)


def bytes_of(tokenizer: Any, token: int) -> tuple[int, int]:
    """Of one token, at a text's beginning and within it."""
    if token == tokenizer.bos:
        return 0, 0
    if isinstance(tokenizer, CountsBytes):
        return tokenizer.bytes_in(token), tokenizer.bytes_in(token)
    one, two = (size(tokenizer.decode([token] * times)) for times in (1, 2))
    return one, two - one


def size(text: str) -> int:
    return len(text.replace(PART, "?").encode("utf-8", "surrogatepass"))


def nats(xp: Any, logits: Any, targets: Any) -> Any:
    """(T,) the cross-entropies, by true arithmetic."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    chosen = xp.take_along_axis(shifted, targets[:, None], axis=-1)[:, 0]
    return xp.log(xp.exp(shifted).sum(-1)) - chosen
