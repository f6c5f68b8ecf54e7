"""The loss curves of many runs in one picture: the best in colour, the rest faint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gptlab.drawing.colors import FAINT
from gptlab.sweeps.record import JobRecord, Points
from gptlab.sweeps.style import BAD, COLORS, LABEL, cut, new_figure, plain, shades, style
from gptlab.sweeps.table import metric_words
from gptlab.sweeps.values import is_lost, ranked
from gptlab.training.metric_rows import loss_text
from gptlab.training.smoothing import SMOOTHED

COLOURED = 20
FEW = 10  # failed runs that may be drawn as plainly as the others
PANELS = {SMOOTHED: "training loss, smoothed", "val/loss": "validation loss"}


@dataclass(frozen=True)
class Line:
    """A run in the picture. curves: by metric; best: drawn thick; failed: marked where it ended."""

    label: str
    curves: dict[str, Points]
    best: bool = False
    failed: bool = False


def line_of(record: JobRecord, best: bool) -> Line:
    score = "" if record.score is None else f"  {loss_text(record.score)}"
    return Line(cut(record.name, LABEL) + score, record.curves, best, is_lost(record))


def curves_of_jobs(records: Sequence[JobRecord], title: str, best: JobRecord | None = None) -> bytes:
    """The curves of a sweep as a PNG, that of `best` drawn thick; empty if no job has one."""
    return curves_picture([line_of(record, record is best) for record in ranked(records)], title)


def curves_picture(lines: Sequence[Line], title: str) -> bytes:
    """`lines` are in their order: the first COLOURED get a colour and a label. Empty if none has a curve."""
    panels = panels_of([line.curves for line in lines])
    if not panels:
        return b""
    good = [line for line in lines if not line.failed]
    coloured = good[:COLOURED]
    colors = shades(len(coloured))
    figure = new_figure(4.6 * len(panels) + 3.4, 4.8)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, name in zip(all_axes, panels, strict=True):
        _draw_panel(axes, name, lines, dict(zip(map(id, coloured), colors, strict=True)))
        style(axes, "step", "loss (nats a token)" if axes is all_axes[0] else "", "")
        axes.set_title(plain(panels[name]), loc="left", fontsize=10)
    _legend(figure, lines, coloured, colors)
    figure.suptitle(plain(cut(title, 100)), x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure.png()


def panels_of(curves: Sequence[Mapping[str, Points]]) -> dict[str, str]:
    """By the name of what is drawn, the title of its panel: of the losses, and of the first metric beside them."""
    panels = {name: title for name, title in PANELS.items() if any(of_run.get(name) for of_run in curves)}
    others = dict.fromkeys(name for of_run in curves for name in of_run if name not in PANELS)
    return panels | {name: metric_words(name) for name in list(others)[:1]}


def _draw_panel(axes: Any, name: str, lines: Sequence[Line], colors: dict[int, Any]) -> None:
    from matplotlib.collections import LineCollection

    drawn = [(line, line.curves[name]) for line in lines if line.curves.get(name)]
    faint = [points for line, points in drawn if id(line) not in colors and not line.failed]
    alpha = max(0.08, min(0.5, 30 / max(1, len(faint))))
    axes.add_collection(LineCollection(faint, colors=FAINT, linewidths=0.7, alpha=alpha, zorder=1))
    failed = [points for line, points in drawn if line.failed]
    axes.add_collection(
        LineCollection(
            failed,
            colors=BAD,
            linewidths=0.8,
            alpha=max(alpha / 2, 0.5 * FEW / max(FEW, len(failed))),
            linestyles=":",
            zorder=2,
        )
    )
    if failed:
        axes.plot(
            *zip(*(points[-1] for points in failed), strict=True),
            "x",
            color=BAD,
            markersize=5,
            alpha=max(0.15, 0.8 * FEW / max(FEW, len(failed))),
            zorder=2,
        )
    # The best last, on top.
    for line, points in sorted(reversed(drawn), key=lambda item: item[0].best):
        if id(line) in colors:
            marked = name != SMOOTHED and len(points) <= 30 and len(colors) <= len(COLORS)
            axes.plot(
                *zip(*points, strict=True),
                color=colors[id(line)],
                linewidth=2.2 if line.best else 1.4,
                marker="o" if marked or len(points) == 1 else None,
                markersize=3.5,
                zorder=3,
            )
    _limits(axes, drawn, colors, name in PANELS)


def _limits(
    axes: Any, drawn: Sequence[tuple[Line, Points]], colors: dict[int, Any], are_losses: bool
) -> None:
    chosen = [points for line, points in drawn if id(line) in colors]
    steps, values = frame_of([points for _, points in drawn], chosen, are_losses)
    axes.set_ylim(*values)
    if steps[0] < steps[1]:
        axes.set_xlim(*steps)


def frame_of(
    drawn: Sequence[Points], chosen: Sequence[Points], are_losses: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The steps and the values from which to which a picture of curves goes: what the chosen ones, best first, need.

    A loss that runs far away from the better half of them leaves the frame.
    """
    chosen = chosen or drawn
    better = chosen[: max(1, (len(chosen) + 1) // 2)]
    highest = 1.5 * max(value for points in better for _, value in points) if are_losses else math.inf
    values = [value for points in chosen for _, value in points]
    low, high = min(values), max(value for value in values if value <= highest)
    room = 0.05 * (high - low) or 0.1
    steps = [step for points in drawn for step, _ in points]
    last = max(steps) * 1.01 if min(steps) < max(steps) else max(steps)
    return (min(0, *steps) if min(steps) < max(steps) else last, last), (low - room, high + room)


def _legend(figure: Any, lines: Sequence[Line], coloured: Sequence[Line], colors: Sequence[Any]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, linewidth=2.2 if line.best else 1.4, label=plain(line.label))
        for line, color in zip(coloured, colors, strict=True)
    ]
    failed = sum(line.failed for line in lines)
    rest = len(lines) - failed - len(coloured)
    if rest:
        handles.append(Line2D([], [], color=FAINT, linewidth=1, label=f"{rest:,} more"))
    if failed:
        handles.append(
            Line2D([], [], color=BAD, linestyle=":", marker="x", label=f"{failed:,} failed or diverged")
        )
    figure.legend(
        handles=handles, loc="outside right upper", frameon=False, fontsize=8 if len(handles) > 10 else 9
    )
