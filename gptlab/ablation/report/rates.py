"""The loss against what was tuned, arm by arm, each at its best value marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gptlab.ablation.report.tables import BASELINE, ranked
from gptlab.ablation.report.words import one_line
from gptlab.ablation.result import Ablation, Tuning
from gptlab.drawing.colors import INK
from gptlab.sweeps.by_key import Place, places
from gptlab.sweeps.style import BAD, loss_axis, mark_values, new_figure, plain, shades, style
from gptlab.sweeps.values import in_order

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

PANELS = 3  # keys that have one


def rates(ablation: Ablation) -> Picture | None:
    """A panel for each tuned key; of the other keys the best values. None if nothing was tuned."""
    tunings = {arm.name: arm.tuning for arm in ranked(ablation.arms) if arm.tuning is not None}
    colors: dict[str, Any] = dict(zip(tunings, shades(len(tunings)), strict=True))
    if ablation.baselineTuning is not None:
        tunings[BASELINE], colors[BASELINE] = ablation.baselineTuning, INK
    keys = list(dict.fromkeys(key for one in tunings.values() for values, _ in one.points for key in values))
    if not keys:
        return None
    shown = keys[:PANELS]
    figure = new_figure(10, 4.2)
    for axes, key in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw_key(axes, key, tunings, colors, labelled=key == shown[0])
    figure.legend(
        loc="outside lower center", ncols=min(4, len(tunings)), frameon=False, fontsize=9, labelcolor=INK
    )
    return figure


def lowest_by_value(tuning: Tuning, key: str) -> dict[str, float | None]:
    """The lowest loss at each value of `key`; None where all failed."""
    found: dict[str, float | None] = {}
    for values, loss in tuning.points:
        if key in values:
            before = found.get(values[key])
            known = [one for one in (before, loss) if one is not None and math.isfinite(one)]
            found[values[key]] = min(known, default=None)
    return found


def _draw_key(
    axes: Any, key: str, tunings: dict[str, Tuning], colors: dict[str, Any], labelled: bool
) -> None:
    lines = {name: lowest_by_value(tuning, key) for name, tuning in tunings.items()}
    place = places(in_order(list(dict.fromkeys(value for line in lines.values() for value in line))))
    if place.scale in ("log", "symlog"):
        axes.set_xscale(place.scale)
    for name, line in lines.items():
        _draw_line(axes, line, place, tunings[name].best.get(key, ""), colors[name], name if labelled else "")
    losses = [loss for line in lines.values() for loss in line.values() if loss is not None]
    if losses:
        loss_axis(axes, losses)
    lost = sorted(
        {place.of[value] for line in lines.values() for value, loss in line.items() if loss is None}
    )
    if lost:
        label = "failed" if labelled else None
        axes.plot(lost, [0.97] * len(lost), "x", color=BAD, transform=axes.get_xaxis_transform(), label=label)
    style(axes, key, "mean loss (nats a token)" if labelled else "")
    mark_values(axes.xaxis, {x: value for value, x in place.of.items()})


def _draw_line(
    axes: Any, line: dict[str, float | None], place: Place, best: str, color: Any, name: str
) -> None:
    points = sorted((place.of[value], loss) for value, loss in line.items() if loss is not None)
    if points:
        label = plain(one_line(name)) or None
        axes.plot(*zip(*points, strict=True), "o-", color=color, linewidth=1.6, markersize=4, label=label)
    if (lowest := line.get(best)) is not None:
        axes.plot(
            place.of[best], lowest, "o", color=color, fillstyle="none", markersize=12, markeredgewidth=1.6
        )
