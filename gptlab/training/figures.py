"""The picture of a run: its losses and, beside them, each of its metrics. matplotlib's objects only, no pyplot."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from gptlab.drawing.colors import INK, ORIGINAL, OTHERS, TRAIN, VALIDATION
from gptlab.training.named_metrics import VAL, further_sets, metrics_in, slices_in, told, word_for
from gptlab.training.panel import Curve, Line, Panel
from gptlab.training.references import Reference, references
from gptlab.training.smoothing import LOSS, SMOOTHED, smoothed_points

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

ALONE, ASIDE = (7.2, 3.8), (5.2, 3.4)  # inches of the axes of one panel, and of each of several
LEFT, BELOW, ABOVE = 0.66, 0.55, 0.46  # of what stands around them
HEADING = 0.4  # above several
MOST_ACROSS = 2
FAR = 4.0  # held-out losses may make the picture so many times as high as the training losses do
NEAR = 1.3  # and lines to hold them against


def loss_figure(
    history: Mapping[str, Curve], facts: Mapping[str, float], title: str, listeners: Collection[str] = ()
) -> Picture:
    """The losses and what they can be held against, and a panel for each metric, and for what it is sliced by.

    Training loss, single steps and smoothed; the losses of all sets of held-out documents; lines for what `facts`
    knows, see `references`. A metric's panel has all sets of documents that it was taken on.

    `history` is `{metric name: [(step, value), ...]}`; values that are not finite leave gaps. listeners: whose
    numbers are none of these.
    """
    from gptlab.drawing.picture import Picture

    curves = {name: finite(curve) for name, curve in history.items()}
    curves = {name: curve for name, curve in curves.items() if curve}
    panels = panels_of(curves, references(facts), listeners)
    several = len(panels) > 1
    if not several:
        panels = [Panel(title, panels[0].lines, panels[0].bottom, panels[0].top, panels[0].y)]
    across = min(MOST_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    inner = ASIDE if several else ALONE
    # Numbers that need more room than usual.
    left = [LEFT + (0.4 if panel.top >= 1000 else 0.0) for panel in panels]
    columns = [
        max(left[i] + inner[0] + panels[i].label_width for i in range(column, len(panels), across))
        for column in range(across)
    ]
    row = BELOW + inner[1] + ABOVE
    figure = Picture(sum(columns), down * row + (HEADING if several else 0))
    width, height = figure.get_size_inches()
    if several:
        look = {"color": INK, "fontsize": 12, "fontweight": "bold"}
        figure.text(LEFT / width, 1 - 0.3 / height, title, look, parse_math=False)
    last_step = max((curve[-1][0] for curve in curves.values()), default=0) or 1
    for i, panel in enumerate(panels):
        x, y = sum(columns[: i % across]) + left[i], (down - 1 - i // across) * row + BELOW
        # Not a layout of matplotlib's, which draws everything twice.
        axes = figure.add_axes((x / width, y / height, inner[0] / width, inner[1] / height))
        panel.draw(axes, inner[1], last_step, 11 if several else 12)
    return figure


def panels_of(
    curves: Mapping[str, Curve], bounds: Sequence[Reference], listeners: Collection[str] = ()
) -> list[Panel]:
    """The losses first."""
    further = further_sets(curves, listeners)
    colors = {VAL: VALIDATION} | {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(further)}
    panels = [
        losses(curves, {name: color for name, color in colors.items() if f"{name}/loss" in curves}, bounds)
    ]
    colors["train"] = TRAIN
    for metric in metrics_in(curves):
        of_sets = told(curves, metric, further)
        lines = [Line(word_for(name), colors[name], curve) for name, curve in of_sets.items()]
        panels.append(Panel(metric, lines, *from_zero(lines)))
    for of, names in slices_in(curves).items():
        shades = scale(len(names))
        lines = [
            Line(name.rpartition("/")[2], color, curves[name])
            for name, color in zip(names, shades, strict=True)
        ]
        panels.append(Panel(of.replace("/", " by "), lines, *from_zero(lines)))
    return panels


def losses(curves: Mapping[str, Curve], colors: Mapping[str, str], bounds: Sequence[Reference]) -> Panel:
    """colors: of the sets of held-out documents."""
    train = curves.get(LOSS, [])
    smoothed = curves.get(SMOOTHED, []) or smoothed_points(train)
    held_out = [Line(word_for(name), color, curves[f"{name}/loss"]) for name, color in colors.items()]
    original = [
        Line("original data", ORIGINAL, curve) for curve in [curves.get("val/originalLoss", [])] if curve
    ]
    top = 0.0
    if train:
        # At batch size 1 a single step is mostly noise: it is shown, but the mean is what is read. And one wild step
        # must not flatten all the others.
        ordered = sorted(value for _, value in train)
        top = max(*(mean for _, mean in smoothed), ordered[int(0.995 * (len(ordered) - 1))])
    # Where a model learns by heart, or on what is harder, these rise, while the others fall.
    high = highest(held_out)
    top = max(min(high, FAR * top) if top > 0 else high, top, highest(original))
    top = 1.08 * top if top > 0 else 1.0
    top = max([top, *(1.04 * bound.loss for bound in bounds if bound.loss <= NEAR * top)])
    lines = [Line("training, smoothed", TRAIN, smoothed, faint=train, marked=False)] if train else []
    lines += [*held_out, *original, *(Line(bound.name, INK, value=bound.loss) for bound in bounds)]
    return Panel("loss", lines, min([0.0, *(line.last for line in lines)]), top, "loss (nats a token)")


def from_zero(lines: Sequence[Line]) -> tuple[float, float]:
    """What an axis shows of a metric: up to 1, where a share comes near it, so that what is left to learn shows."""
    low = min((value for line in lines for _, value in line.curve), default=0.0)
    high = highest(lines)
    top = 1.02 if 0.5 < high <= 1 else 1.08 * high if high > 0 else 1.0
    return min(-0.02 * top, 1.08 * low), top  # a curve at 0 does not lie on the axis


def highest(lines: Sequence[Line]) -> float:
    return max((value for line in lines for _, value in line.curve), default=0.0)


def scale(count: int) -> list[tuple[float, ...]]:
    """Colours in an order."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.78 * i / max(1, count - 1)) for i in range(count)]


def finite(curve: Curve) -> Curve:
    return [(step, value) for step, value in curve if math.isfinite(value)]
