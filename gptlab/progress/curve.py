"""A curve that grows while a run goes on, in little memory; drawn in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

LIMIT = 256  # means that are kept
BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"


class Curve:
    """Means of equally many values each, at most LIMIT of them, and the mean of the last ones.

    Values that are not finite leave nothing.
    """

    def __init__(self) -> None:
        self.means: list[float] = []
        self._each = 1
        self._sum, self._count = 0.0, 0
        self._smooth, self._weight = 0.0, 0.0

    def add(self, value: float) -> None:
        if not math.isfinite(value):
            return
        # A mean of about ten values, and of all while there are fewer.
        self._smooth, self._weight = 0.9 * self._smooth + 0.1 * value, 0.9 * self._weight + 0.1
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self._each:
            self.means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self.means) == LIMIT:
            self.means = [(a + b) / 2 for a, b in zip(self.means[::2], self.means[1::2], strict=True)]
            self._each *= 2

    @property
    def smoothed(self) -> float:
        """The mean of the last values; nan before the first."""
        return self._smooth / self._weight if self._weight else math.nan


def sparkline(values: Sequence[float], width: int, levels: str = BLOCKS) -> str:
    """The values as `width` letters, or as many as there are values; the lowest and highest set the scale."""
    width = min(width, len(values))
    if width < 1:
        return ""
    edges = [i * len(values) // width for i in range(width + 1)]
    cells = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(cells), max(cells)
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((cell - low) * scale)] for cell in cells)
