"""The forest plot: each arm's difference with its interval, best on top, what counts as no difference shaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gptlab.ablation.report.bars import Scale, scale_of
from gptlab.ablation.report.tables import ranked
from gptlab.ablation.report.words import (
    digits_of,
    interval_text,
    one_line,
    p_text,
    signed,
    verdict_words,
)
from gptlab.ablation.result import Ablation, Comparison
from gptlab.drawing.colors import FAINT, INK
from gptlab.sweeps.style import BAD, COLORS, new_figure, plain, style

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

VERDICTS = {"better": COLORS[2], "worse": BAD, "equivalent": COLORS[0], "undecided": FAINT, "failed": BAD}
MOST = 40  # arms in one picture


def forest(ablation: Ablation) -> Picture:
    """Of an ablation with at least one arm; where it tuned, hollow is at the baseline's setting."""
    arms, digits = ranked(ablation.arms)[:MOST], digits_of(ablation)
    both = [arm.comparison for arm in arms] + [arm.untuned for arm in arms if arm.untuned is not None]
    scale = scale_of(both)
    tuned = len(both) > len(arms)
    names = [one_line(arm.name) for arm in arms]
    # As much wider as the names are long: what stands on the right needs its inches.
    figure = new_figure(9 + 0.08 * max(map(len, names)), 1.3 + (0.5 if tuned else 0.4) * len(arms))
    axes, beside = figure.subplots(1, 2, sharey=True)
    axes.axvspan(-ablation.epsilon, ablation.epsilon, color=FAINT, alpha=0.18, linewidth=0)
    axes.axvline(0.0, color=INK, linewidth=1)
    for y, arm in enumerate(arms):
        _draw(axes, arm.comparison, y, scale)
        if arm.untuned is not None:
            _draw(axes, arm.untuned, y + 0.28, scale, hollow=True)
        one = arm.comparison
        interval = f" ({interval_text(one.low, one.high, digits)})" if one.low is not None else ""
        cells = (
            f"{signed(one.difference, digits)}{interval}",
            p_text(one.p),
            verdict_words(one, ablation.epsilon),
        )
        _write(beside, y, cells, INK)
    _write(beside, -0.75, ("difference (95% interval)", "p", "verdict"), FAINT)
    beside.set_axis_off()
    style(axes, "difference in loss to the baseline (nats a token); left is better", "")
    axes.grid(visible=False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_yticks(range(len(arms)), [plain(name) for name in names])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    # The whole band is seen, unless the intervals would be dots in it.
    band = 1.2 * ablation.epsilon if ablation.epsilon < scale.high - scale.low else 0.0
    axes.set_xlim(min(scale.low, -band), max(scale.high, band))
    return figure


def _write(axes: Any, y: float, cells: Sequence[str], color: str) -> None:
    for x, cell in zip((0.0, 0.48, 0.6), cells, strict=True):
        axes.text(x, y, cell, color=color, fontsize=9, va="center", transform=axes.get_yaxis_transform())


def _draw(axes: Any, comparison: Comparison, y: float, scale: Scale, hollow: bool = False) -> None:
    """A dot with its interval; what lies beyond the scale ends in an arrow, what there is none of is a cross."""
    color = VERDICTS[comparison.verdict]
    low, high, middle = comparison.low, comparison.high, comparison.difference
    if middle is None or low is None or high is None:
        axes.plot(0.02, y, "x", color=color, transform=axes.get_yaxis_transform())
        return
    ends = [max(low, scale.low), min(high, scale.high)]
    if low <= scale.high and high >= scale.low:
        axes.plot(ends, [y, y], color=color, linewidth=1.2 if hollow else 2.2, solid_capstyle="butt")
    for end, beyond, mark in ((scale.low, low < scale.low, "<"), (scale.high, high > scale.high, ">")):
        if beyond:
            axes.plot(end, y, mark, color=color, clip_on=False, markersize=7)
    if scale.low <= middle <= scale.high:
        axes.plot(
            middle, y, "o", color=color, fillstyle="none" if hollow else "full", markersize=5 if hollow else 7
        )
