"""What metrics are sliced by. Legend: N documents, T predictions of the longest, V vocabulary; see `Slicing`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.engines.labels import ByLabel
from gptlab.engines.measured import DOCUMENT, kind_of
from gptlab.errors import UserError, unknown_name

BY = "by"  # the key of it in a config
LENGTH, POSITION, FREQUENCY = "length", "position", "frequency"
NAMES = {LENGTH: True, POSITION: False, FREQUENCY: False}  # True: whole documents are told apart by it
EDGES = 4 * 2 ** np.arange(28)  # the last number of each slice; the same for all data, so that runs compare
RANGES = tuple(f"{low}-{high}" for low, high in zip((1, *(EDGES[:-1] + 1)), EDGES, strict=True))


@dataclass(frozen=True)
class Length:
    """By the predictions in a document, its end included: 1-4, 5-8, 9-16, 17-32, ..."""

    names = RANGES
    of_documents = True

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return np.searchsorted(EDGES, lengths)[:, None]


@dataclass(frozen=True)
class Position:
    """By the place in the document, the first prediction being 1: 1-4, 5-8, 9-16, 17-32, ..."""

    names = RANGES
    of_documents = False

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        width = tokens.shape[1] - 1
        return np.broadcast_to(np.searchsorted(EDGES, np.arange(1, width + 1)), (len(lengths), width))


@dataclass(frozen=True)
class Frequency:
    """By how often the token to be predicted stands in the training documents.

    classes: (V,) the slice of each token. The tokens in order of how often they occur, each as often as it does, are
    cut into four quarters; a token is in the quarter that the middle of its occurrences is in, with those that are as
    frequent. A token that is more than a quarter of all leaves some slices empty.
    """

    classes: tuple[int, ...]

    names = ("rare", "uncommon", "common", "frequent")
    of_documents = False

    @classmethod
    def of(cls, counts: np.ndarray) -> Frequency:
        """counts: (V,) how often each token is to be predicted in training."""
        _, which = np.unique(counts, return_inverse=True)  # by how frequent, from the rarest on
        occurrences = np.bincount(which.reshape(-1), counts)
        middles = np.cumsum(occurrences) - occurrences / 2
        quarters = np.minimum(4 * middles / max(1, counts.sum()), 3).astype(int)
        return cls(tuple(quarters[which].tolist()))

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        return np.asarray(self.classes, dtype=np.int8)[tokens[:, 1:]]


def slicing_of(name: str, counts: Any) -> Any:
    """counts: a function that gives those of `Frequency`, asked only where they are needed."""
    own = {LENGTH: Length, POSITION: Position, FREQUENCY: lambda: Frequency.of(counts())}
    return own[name]() if name in own else ByLabel(name)


def slices_of(name: str, metric: Any, by: Any, labelled: bool = False) -> tuple[str, ...]:
    """The names in `by`, one or several. labelled: labels of the data are among them, once they are known.

    Raises UserError for what is none, and for what cannot slice the metric.
    """
    found = tuple([by] if isinstance(by, str) else by) if isinstance(by, (str, Sequence)) else (by,)
    for what in found:
        if what not in NAMES:
            if labelled and isinstance(what, str):
                continue
            raise UserError(unknown_name(f"{BY} of metric {name}", str(what), NAMES))
        if kind_of(metric) == DOCUMENT and not NAMES[what]:
            raise UserError(
                f"{name} is about whole documents, and must be sliced by what tells them apart: got {BY}={what}. "
                f"Try {BY}: {next(key for key, whole in NAMES.items() if whole)}."
            )
    return found
