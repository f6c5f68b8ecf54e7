"""What an evaluation finds of each document: the loss of what counts, and metrics.

Legend: N documents, T predictions of the longest, K slices; positions and documents are arrays of any shape, alike:
which document stands where, -1 for none, and at which of its positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from gptlab.engines.marks import unmarked

DOCUMENT = "document"  # what a metric says it is `of` where a document is right as a whole, or is not
RATIO = "ratio"  # and where it gives two numbers of each position, whose sums are divided
Measures = tuple[tuple[str, Any], ...]  # metrics by name, as evaluations ask for them; hashable


class Slicing(Protocol):
    """What tells documents, or the tokens to be predicted, apart."""

    @property
    def names(self) -> Sequence[str]:
        """Of the K slices."""
        ...

    @property
    def of_documents(self) -> bool:
        """Whether all tokens of a document are in one slice."""
        ...

    def __call__(self, tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Of documents (N, T+1) and their predictions (N,) which slice each prediction is in, (N, T), or (N, 1)."""
        ...


@dataclass(frozen=True)
class Sliced:
    """A metric that is told slice by slice. by: what the names of its slices begin with. whole: and as a whole, too."""

    metric: Any
    by: tuple[tuple[str, Slicing], ...]
    whole: bool = True

    @property
    def of(self) -> str:
        return kind_of(self.metric)

    def __call__(self, *arrays: Any) -> Any:
        return self.metric(*arrays)


def kind_of(metric: Any) -> str:
    """DOCUMENT, RATIO or "", where it is the share of positions."""
    kind: str = getattr(metric, "of", "")
    return kind


def unsliced(metrics: Measures) -> Measures:
    """What to compute: a program depends on no more, and slices are told apart outside of it."""
    return tuple((name, m.metric if isinstance(m, Sliced) else m) for name, m in metrics)


@dataclass(frozen=True)
class Measured:
    """Of each document (N,) its cross-entropies in nats, summed over what counts, and the sum of its counts.

    metrics: by name, of each document (N,) what is right, weighed, and the sum of the metric's own counts; of a ratio
    its two sums. slices: the same of each slice over all documents, `accuracy/length/1-4`, two numbers.
    """

    nats: np.ndarray
    counted: np.ndarray
    metrics: dict[str, tuple[np.ndarray, np.ndarray]]
    slices: dict[str, tuple[float, float]] = field(default_factory=dict)

    def shares(self) -> dict[str, float]:
        """Of each metric and slice the share that is right; those for which nothing counts are left out."""
        sums = {name: (right.sum(), counts.sum()) for name, (right, counts) in self.metrics.items()}
        return {name: float(right / count) for name, (right, count) in (sums | self.slices).items() if count}


class Gathering:
    """What positions have given, added up by document in float64."""

    def __init__(self, tokens: np.ndarray, lengths: np.ndarray, metrics: Measures):
        self._count = count = len(lengths)
        self._kinds = {name: kind_of(metric) for name, metric in metrics}
        self._nats = self._counted = np.zeros(count)
        self._metrics = {name: (np.zeros(count), np.zeros(count)) for name, _ in metrics}
        ids = unmarked(tokens)
        self._slicings = {
            name: [(begin, by.names, by(ids, lengths)) for begin, by in metric.by]
            for name, metric in metrics
            if isinstance(metric, Sliced)
        }
        self._parts = {name for name, metric in metrics if isinstance(metric, Sliced) and not metric.whole}
        self._slices: dict[str, tuple[float, float]] = {}

    def losses(self, documents: np.ndarray, losses: Any, counts: Any) -> None:
        nats, counted = self._sums(documents, losses, counts, self._count)
        self._nats, self._counted = self._nats + nats, self._counted + counted

    def metric(
        self, name: str, documents: np.ndarray, positions: np.ndarray, right: Any, counts: Any
    ) -> None:
        """Each document as a whole: one of a metric that is `of` documents comes with all its positions."""
        kind = self._kinds[name]
        if kind == DOCUMENT:
            some, right, counts = self._of_documents(documents, right, counts)
            documents, positions = np.flatnonzero(some), np.zeros(int(some.sum()), dtype=int)
        rights, counted = self._sums(documents, right, counts, self._count, kind)
        before = self._metrics[name]
        self._metrics[name] = before[0] + rights, before[1] + counted
        for begin, names, classes in self._slicings.get(name, ()):
            at = positions if classes.shape[1] > 1 else np.zeros_like(positions)
            of = np.where(documents >= 0, classes[documents, at], -1)
            for label, *sums in zip(names, *self._sums(of, right, counts, len(names), kind), strict=True):
                whole, earlier = f"{begin}/{label}", self._slices.get(f"{begin}/{label}", (0.0, 0.0))
                self._slices[whole] = earlier[0] + float(sums[0]), earlier[1] + float(sums[1])

    def measured(self) -> Measured:
        whole = {name: sums for name, sums in self._metrics.items() if name not in self._parts}
        return Measured(self._nats, self._counted, whole, self._slices)

    def _of_documents(self, documents: np.ndarray, right: Any, counts: Any) -> tuple[np.ndarray, Any, Any]:
        """Which documents (N,) have something that counts, and of those whether all of it is right, each once."""
        wrong, counted = self._sums(documents, np.asarray(right) < 1, counts, self._count)
        some = counted > 0
        return some, (wrong == 0)[some], np.ones(int(some.sum()))

    @staticmethod
    def _sums(
        of: np.ndarray, numbers: Any, counts: Any, size: int, kind: str = ""
    ) -> tuple[np.ndarray, np.ndarray]:
        """Σ counts · numbers and Σ counts of each document or slice; of a ratio Σ numbers and Σ counts.

        What stands where nothing counts need not be a number, but in a ratio.
        """
        weights = np.broadcast_to(np.asarray(counts, dtype=np.float64), of.shape)
        used = (of >= 0) & ((weights > 0) | (kind == RATIO))
        which, weights = of[used], weights[used]
        values = np.broadcast_to(np.asarray(numbers, dtype=np.float64), of.shape)[used]
        above = values if kind == RATIO else weights * values
        return np.bincount(which, above, size), np.bincount(which, weights, size)
