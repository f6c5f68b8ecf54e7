"""What an evaluation finds of each document: the loss of what counts, and metrics.

Legend: N documents; positions and documents are arrays of any shape, alike: which document stands where, -1 for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

DOCUMENT = "document"  # what a metric says it is `of` where a document is right as a whole, or is not
Measures = tuple[tuple[str, Any], ...]  # metrics by name, as evaluations ask for them; hashable


@dataclass(frozen=True)
class Measured:
    """Of each document (N,) its cross-entropies in nats, summed over what counts, and the sum of its counts.

    metrics: by name, of each document (N,) what is right, weighed, and the sum of the metric's own counts.
    """

    nats: np.ndarray
    counted: np.ndarray
    metrics: dict[str, tuple[np.ndarray, np.ndarray]]

    def shares(self) -> dict[str, float]:
        """Of each metric the share that is right over all documents; those for which nothing counts are left out."""
        sums = {name: (right.sum(), counts.sum()) for name, (right, counts) in self.metrics.items()}
        return {name: float(right / count) for name, (right, count) in sums.items() if count}


class Gathering:
    """What positions have given, added up by document in float64."""

    def __init__(self, count: int, metrics: Measures):
        self._count = count
        self._whole = {name for name, metric in metrics if getattr(metric, "of", "") == DOCUMENT}
        self._nats = self._counted = np.zeros(count)
        self._metrics = {name: (np.zeros(count), np.zeros(count)) for name, _ in metrics}

    def losses(self, documents: np.ndarray, losses: Any, counts: Any) -> None:
        nats, counted = self._sums(documents, losses, counts)
        self._nats, self._counted = self._nats + nats, self._counted + counted

    def metric(self, name: str, documents: np.ndarray, right: Any, counts: Any) -> None:
        """Each document as a whole: one of a metric that is `of` documents comes with all its positions."""
        rights, counted = self._sums(documents, right, counts)
        if name in self._whole:
            wrong, _ = self._sums(documents, np.asarray(right) < 1, counts)
            some = counted > 0
            rights, counted = (some & (wrong == 0)).astype(float), some.astype(float)
        before = self._metrics[name]
        self._metrics[name] = before[0] + rights, before[1] + counted

    def measured(self) -> Measured:
        return Measured(self._nats, self._counted, self._metrics)

    def _sums(self, documents: np.ndarray, numbers: Any, counts: Any) -> tuple[np.ndarray, np.ndarray]:
        """Σ counts · numbers and Σ counts of each document; what stands where nothing counts need not be a number."""
        weights = np.broadcast_to(np.asarray(counts, dtype=np.float64), documents.shape)
        used = (documents >= 0) & (weights > 0)
        of, weights = documents[used], weights[used]
        values = np.broadcast_to(np.asarray(numbers, dtype=np.float64), documents.shape)[used]
        return (
            np.bincount(of, weights * values, self._count),
            np.bincount(of, weights, self._count),
        )
