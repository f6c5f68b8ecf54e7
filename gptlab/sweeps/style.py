"""How a sweep's pictures look: one canvas, one set of colours. matplotlib's objects only, no pyplot."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.drawing.colors import FAINT, INK, VALIDATION
from gptlab.sweeps.values import spans_decades

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

# For up to eight things side by side; more are shades of one scale.
COLORS = ("#2f6fb7", "#d1495b", "#3a9a5b", "#e08e2b", "#7a5bb0", "#2aa1a1", "#8c6d46", "#c65fa0")
BAD = VALIDATION
TITLE = 90  # characters that fit
LABEL = 44


def new_figure(width: float, height: float) -> Picture:
    from gptlab.drawing.picture import Picture

    return Picture(width, height, layout="constrained")


@contextmanager
def drawing() -> Iterator[None]:
    """What matplotlib and NumPy warn of is no news for a person: letters that the font has not, values at the
    edge of what a float holds."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def style(axes: Any, x: str, y: str, title: str = "") -> None:
    axes.set_xlabel(plain(x), color=INK)
    axes.set_ylabel(plain(y), color=INK)
    if title:
        axes.set_title(
            plain(cut(title, TITLE)), loc="left", color=INK, fontsize=11, fontweight="bold", pad=10
        )
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(which="both", colors=INK, labelsize=9)


def shades(count: int) -> list[Any]:
    """So many colours; of more than COLORS, from dark to light."""
    if count <= len(COLORS):
        return list(COLORS[:count])
    return scale(count)


def scale(count: int) -> list[Any]:
    """Colours in an order: for numbers, and for ranks."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.86 * i / max(1, count - 1)) for i in range(count)]


def cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def plain(text: str) -> str:
    """Text that matplotlib takes as it is: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def mark_values(axis: Any, values: Mapping[float, str]) -> None:
    """Marks at these places with these words if they are few and apart; else matplotlib's own."""
    from matplotlib.ticker import NullLocator

    x = axis.get_transform().transform(sorted(values))
    if len(values) > 10 or any(b - a < 0.06 * (x[-1] - x[0]) for a, b in pairwise(x)):
        return
    axis.set_minor_locator(NullLocator())
    axis.set_ticks(list(values), [plain(word) for word in values.values()])


def number(value: float) -> str:
    """As short as a count can be said: 512, 63.3k, 1.2M."""
    for size, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.4g}"


def few_log_marks(axis: Any) -> None:
    """Round numbers on a log axis that spans less than a decade, and would have hardly a mark of its own."""
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    low, high = sorted(axis.get_view_interval())
    if not 0 < high < 10 * low:
        return
    axis.set_ticks([tick for tick in MaxNLocator(7).tick_values(low, high) if low <= tick <= high])
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(ScalarFormatter(useOffset=False))


def outliers_above(values: Sequence[float]) -> float:
    """Where a loss axis may end: a job that ran away must not flatten the others. Infinity if none did."""
    if len(values) < 8:
        return float("inf")
    order = sorted(values)
    low, high = order[len(order) // 4], order[3 * len(order) // 4]
    return high + 5 * (high - low) if high > low else float("inf")


def loss_axis(axes: Any, values: Sequence[float]) -> None:
    """Log where the losses span decades, and no further up than `outliers_above`."""
    limit = outliers_above(values)
    shown = [value for value in values if value <= limit]
    if spans_decades(shown):
        axes.set_yscale("log")
    if len(shown) < len(values):
        room = 0.12 * (max(shown) - min(shown) or 1.0)
        axes.set_ylim(min(shown) - room / 2, max(shown) + room)
