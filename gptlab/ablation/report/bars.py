"""Intervals drawn in text on one common scale, zero marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gptlab.ablation.result import Comparison

BLANK = "\u2800"  # a blank that no table takes for a space, and that `spaced` makes one
WIDTH = 25
LARGEST = 1e100  # beyond it a sum may be none
FAR = 6  # times the middle one: an interval that reaches further would leave the others a dot


@dataclass(frozen=True)
class Scale:
    """low, high: the differences at both ends; zero lies within."""

    low: float
    high: float
    width: int = WIDTH

    def column(self, value: float) -> int:
        """Where a difference stands; what is beyond stands at the end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(share * (self.width - 1))


def scale_of(comparisons: Sequence[Comparison], width: int = WIDTH) -> Scale:
    """Wide enough for all intervals but those that are FAR out."""
    ends = [(c.low, c.high) for c in comparisons if c.low is not None and c.high is not None]
    if not ends:
        return Scale(-1.0, 1.0, width)
    reaches = [min(max(-low, high), LARGEST) for low, high in ends]
    limit = FAR * median(reaches) or max(reaches)
    low = max(-limit, min(0.0, *(low for low, _ in ends)))
    high = min(limit, max(0.0, *(high for _, high in ends)))
    room = 0.04 * (high - low) or 0.01
    return Scale(low - room, high + room, width)


def bar(comparison: Comparison, scale: Scale) -> str:
    """`├──●──┤  │`, as wide as the scale; an arrow where an interval goes on beyond it."""
    cells = [BLANK] * scale.width
    cells[scale.column(0.0)] = "│"
    low, high, middle = comparison.low, comparison.high, comparison.difference
    if low is None or high is None or middle is None:
        return "".join(cells)
    first, last = scale.column(low), scale.column(high)
    for i in range(first, last + 1):
        cells[i] = "┼" if cells[i] == "│" else "─"
    cells[first] = "◂" if low < scale.low else "├"
    cells[last] = "▸" if high > scale.high else "┤"
    if scale.low <= middle <= scale.high:
        cells[scale.column(middle)] = "●"
    return "".join(cells)


def heading(scale: Scale, digits: int) -> str:
    """The scale's ends, and zero where it stands if there is room."""
    left, right = f"{scale.low:+.{digits}f}", f"{scale.high:+.{digits}f}"
    middle = scale.width - len(left) - len(right)
    if middle < 0:
        return ""
    cells = [*left, *[BLANK] * middle, *right]
    zero = scale.column(0.0)
    if len(left) < zero < scale.width - len(right) - 1:
        cells[zero] = "0"
    return "".join(cells)


def spaced(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace(BLANK, " ").split("\n"))
