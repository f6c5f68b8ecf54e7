"""A curve that grows while a run goes on, in little memory; drawn in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

LIMIT = 256  # means that are kept
BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"


class Curve:
    """Means of equally many values each, at most LIMIT of them.

    Values that are not finite leave nothing.
    """

    def __init__(self) -> None:
        self.means: list[float] = []
        self._each = 1
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        if not math.isfinite(value):
            return
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count == self._each:
            self.means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0
        if len(self.means) == LIMIT:
            self.means = [(a + b) / 2 for a, b in zip(self.means[::2], self.means[1::2], strict=True)]
            self._each *= 2


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
