"""Metrics: what is measured on held-out documents besides the loss.

Legend: T positions of a row, which documents may share, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gptlab.engines.measured import DOCUMENT

Right = tuple[Any, Any]  # of each position (T,) how right it is, and how much it counts


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
