"""What a run logged, as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gptlab.training.metric_rows import Metrics


class Curve(NamedTuple):
    """One metric: `steps, values = run.metrics["val/loss"]`. steps (N,) int64; values (N,) float64."""

    steps: np.ndarray
    values: np.ndarray

    def __repr__(self) -> str:
        if not len(self.steps):
            return "no values"
        last = f"{self.values[-1]:.6g} at step {self.steps[-1]:,}"
        return f"{len(self.steps):,} value{'s' if len(self.steps) > 1 else ''}, {last}"


class Curves(dict[str, Curve]):
    """Metrics by name."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:{width}}  {curve!r}" for name, curve in self.items()) or "no metrics"


def curves(rows: Metrics) -> Curves:
    """Of rows by step: the curve of every metric, names in the order in which they were first logged."""
    names: Iterable[str] = dict.fromkeys(name for _, row in rows for name in row)
    found = Curves()
    for name in names:
        points = [(step, row[name]) for step, row in rows if name in row]
        found[name] = Curve(
            np.array([step for step, _ in points], np.int64), np.array([value for _, value in points])
        )
    return found
