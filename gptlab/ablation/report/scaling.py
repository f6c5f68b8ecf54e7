"""Does it hold at other sizes: the losses with their laws, and the difference with its interval at each size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.ablation.report.laws import Laws
from gptlab.ablation.report.tables import BASELINE, ranked
from gptlab.ablation.report.words import one_line
from gptlab.ablation.result import Ablation, AtSize
from gptlab.drawing.colors import INK
from gptlab.sweeps.by_parameters import mark_sizes
from gptlab.sweeps.style import few_log_marks, new_figure, plain, shades, style

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture


def scaling(ablation: Ablation, laws: Mapping[str, Laws] | None = None) -> Picture | None:
    """laws: by arm's name. None for fewer than two sizes."""
    arms = [arm for arm in ranked(ablation.arms) if len(arm.sizes) > 1]
    if not arms:
        return None
    colors = shades(len(arms))
    figure = new_figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.set_xscale("log")
    left.set_yscale("log")
    for i, (arm, color) in enumerate(zip(arms, colors, strict=True)):
        shift = 1 + 0.04 * (i - (len(arms) - 1) / 2)  # so that intervals stand side by side
        _draw_losses(left, [(at.parameters, at.arm) for at in arm.sizes], color, one_line(arm.name))
        _draw_differences(right, arm.sizes, color, shift)
        found = (laws or {}).get(arm.name)
        if found is not None:
            ends = [at.parameters for at in arm.sizes]
            x = np.geomspace(min(ends), max(ends), 100)
            for law, ink in ((found.baseline, INK), (found.arm, color)):
                if law is not None:
                    left.plot(x, law(x), "--", color=ink, linewidth=1.2)
    baseline = {at.parameters: at.baseline for arm in arms for at in arm.sizes}
    _draw_losses(left, sorted(baseline.items()), INK, BASELINE)
    right.axhline(0.0, color=INK, linewidth=1.4)
    style(left, "parameters", "validation loss (nats a token)", "mean over seeds")
    style(right, "parameters", "", "paired difference to the baseline, 95% interval")
    for axes in (left, right):
        mark_sizes(axes.xaxis, sorted(baseline))
    few_log_marks(left.yaxis)
    figure.legend(
        loc="outside lower center", ncols=min(4, len(arms) + 1), frameon=False, fontsize=9, labelcolor=INK
    )
    return figure


def _draw_losses(axes: Any, points: list[tuple[int, float | None]], color: Any, label: str) -> None:
    known = [(size, loss) for size, loss in points if loss is not None and loss > 0]
    if known:
        axes.plot(*zip(*known, strict=True), "o", color=color, markersize=6, label=plain(label))


def _draw_differences(axes: Any, sizes: list[AtSize], color: Any, shift: float) -> None:
    found = [
        (at.parameters * shift, one.difference, one.difference - one.low, one.high - one.difference)
        for at in sizes
        if (one := at.comparison).difference is not None and one.low is not None and one.high is not None
    ]
    if found:
        x, middles, below, above = zip(*found, strict=True)
        axes.errorbar(
            x, middles, (below, above), color=color, marker="o", capsize=3, linewidth=1.2, elinewidth=2
        )
