"""The curves of a sweep's jobs as SVG within its page: the best in colour, the rest faint; text is the page's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptlab.drawing.report_page import escaped
from gptlab.sweeps.curves import COLOURED, PANELS, frame_of, panels_of
from gptlab.sweeps.record import JobRecord, Points
from gptlab.sweeps.style import LABEL, cut, number, shades
from gptlab.sweeps.values import is_lost, shown_loss
from gptlab.training.metric_rows import loss_text

WIDTH, HEIGHT = 600.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 8.0, 24.0
POINTS, FAINT_POINTS = 100, 30  # of a curve, in colour and faint
FAINT = 400  # curves that are drawn faint at most
MARKS = 5  # of an axis, about


@dataclass(frozen=True)
class Drawn:
    """A job's curve: its place in the ranking, from 1, and its colour, empty for a faint one."""

    rank: int
    record: JobRecord
    color: str
    points: Points


def colors_of(order: Sequence[JobRecord]) -> dict[int, str]:
    """By rank, the colours of the best jobs that did not break down: those of the picture beside the page."""
    good = [rank for rank, record in enumerate(order, start=1) if not is_lost(record)][:COLOURED]
    return {rank: hexadecimal(color) for rank, color in zip(good, shades(len(good)), strict=True)}


def hexadecimal(color: Any) -> str:
    """`#2f6fb7`, of that or of shares of red, green and blue."""
    if isinstance(color, str):
        return color
    return "#" + "".join(f"{round(255 * share):02x}" for share in color[:3])


def inline_curves(order: Sequence[JobRecord], best: JobRecord | None) -> str:
    """A figure for each metric; empty if no job has a curve. order: best first."""
    colors = colors_of(order)
    panels = panels_of([record.curves for record in order])
    figures = []
    for name, title in panels.items():
        drawn = [
            Drawn(rank, record, colors.get(rank, ""), record.curves[name])
            for rank, record in enumerate(order, start=1)
            if record.curves.get(name)
        ]
        shown = f"{title} (nats a token)" if name in PANELS else title
        figures.append(
            f"<figure><h3>{escaped(shown)}</h3>{panel(drawn, best, title, name in PANELS)}</figure>"
        )
    return f'<div class="curves">{"".join(figures)}</div>' if figures else ""


def panel(drawn: Sequence[Drawn], best: JobRecord | None, title: str, are_losses: bool) -> str:
    chosen = [one.points for one in drawn if one.color]
    (first, last), (low, high) = frame_of([one.points for one in drawn], chosen, are_losses)
    if first == last:
        first, last = min(0, first), max(1, last)

    def x(step: float) -> float:
        return LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        # What leaves the frame is cut there; a number that is too large is none for a browser.
        share = min(3.0, max(-1.0, (value - low) / (high - low)))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def line(one: Drawn) -> str:
        points = thinned(one.points, POINTS if one.color else FAINT_POINTS)
        places = " ".join(f"{x(step):.1f} {y(value):.1f}" for step, value in points)
        kinds = ["run", f"r{one.rank}"]
        kinds += ["best"] if one.record is best else []
        kinds += ["lost"] if is_lost(one.record) else [] if one.color else ["faint"]
        color = f' style="--c:{one.color}"' if one.color else ""
        end = ""
        if len(points) == 1:  # a dot: its ends are round
            end = "h.1"
            kinds.append("dot")
        told = escaped(f"{one.rank}. {cut(one.record.name, LABEL)}: {shown_loss(one.record.score)}")
        return f'<path class="{" ".join(kinds)}"{color} d="M{places}{end}"><title>{told}</title></path>'

    faint = [one for one in drawn if not one.color][:FAINT]
    # The best last, on top.
    lines = [
        line(one)
        for one in [*faint, *[one for one in reversed(drawn) if one.color and one.record is not best]]
    ]
    lines += [line(one) for one in drawn if one.record is best]
    grid = "".join(
        f'<path class="grid" d="M{LEFT:g} {y(mark):.1f}H{WIDTH - RIGHT:g}"/>'
        f'<text class="y" x="{LEFT - 6:g}" y="{y(mark) + 4:.1f}">{mark_text(mark)}</text>'
        for mark in marks(low, high)
    )
    steps = "".join(
        f'<text class="x" x="{x(mark):.1f}" y="{HEIGHT - 6:g}">{number(mark)}</text>'
        for mark in marks(first, last)
    )
    label = escaped(f"{title} against the step: {len(drawn)} runs")
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">{grid}{steps}'
        f'<svg x="0" y="{TOP - 4:g}" width="{WIDTH:g}" height="{HEIGHT - TOP - BOTTOM + 6:g}" '
        f'viewBox="0 {TOP - 4:g} {WIDTH:g} {HEIGHT - TOP - BOTTOM + 6:g}">{"".join(lines)}</svg></svg>'
    )


def thinned(points: Points, most: int) -> Points:
    """At most so many, evenly, the first and the last one among them."""
    every = -(-(len(points) - 1) // max(1, most - 2))
    return points if every <= 1 else [*points[:-1:every], points[-1]]


def marks(low: float, high: float) -> list[float]:
    """Round numbers within the two, about MARKS of them."""
    rough = (high - low) / MARKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * 0.999)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def mark_text(value: float) -> str:
    """`2.5`, no digit more than it needs."""
    return loss_text(round(value, 10), 6).rstrip("0").rstrip(".") if abs(value) < 1e5 else f"{value:.0e}"
