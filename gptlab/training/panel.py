"""A panel of a run's picture: curves over steps, each with its name and last value at the right, where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gptlab.drawing.apart import apart
from gptlab.drawing.colors import FAINT, INK
from gptlab.training.metric_rows import loss_text

Curve = list[tuple[int, float]]
SIZE = 9.0  # points, of a label
A_LETTER, A_LINE = 0.069, 1.3 * SIZE / 72  # inches that it takes
FEW = 60  # points of a curve that are marked each


@dataclass(frozen=True)
class Line:
    """A curve, or with no curve a line across at `value`. faint: a curve drawn behind it, as it is before smoothing."""

    name: str
    color: Any
    curve: Curve = field(default_factory=list)
    value: float = 0.0
    faint: Curve = field(default_factory=list)
    marked: bool = True

    @property
    def last(self) -> float:
        return self.curve[-1][1] if self.curve else self.value

    @property
    def label(self) -> str:
        return f"{self.name}  {loss_text(self.last)}"


@dataclass(frozen=True)
class Panel:
    """bottom, top: what the axis shows; the label of a line that ends above it has an arrow."""

    title: str
    lines: Sequence[Line]
    bottom: float
    top: float
    y: str = ""

    @property
    def label_width(self) -> float:
        """Inches."""
        return 0.25 + A_LETTER * max((len(line.label) + 2 for line in self.lines), default=0)

    def draw(self, axes: Any, height: float, last_step: int, size: float) -> None:
        """height: of the axes, in inches. last_step: where they end. size: of the title."""
        for line in self.lines:
            draw_line(axes, line)
        axes.set_ylim(self.bottom, self.top)
        axes.set_xlim(-0.01 * last_step, 1.01 * last_step)
        self._draw_labels(axes, height)
        # y is given, since matplotlib would otherwise measure every label to see where the title has room.
        # A dollar sign in a name is no beginning of a formula.
        look = {"color": INK, "fontsize": size, "fontweight": "bold", "parse_math": False}
        axes.set_title(self.title, look, loc="left", pad=10, y=1.0)
        axes.set_xlabel("step", color=INK)
        axes.set_ylabel(self.y, color=INK)
        axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=INK, labelsize=9)

    def _draw_labels(self, axes: Any, height: float) -> None:
        lines = sorted(self.lines, key=lambda line: line.last)
        span = self.top - self.bottom
        ends = [min(1.0, max(0.0, (line.last - self.bottom) / span)) for line in lines]
        inside = {"transform": axes.transAxes, "clip_on": False}
        for line, end, place in zip(lines, ends, apart(ends, A_LINE / height, 0.0, 1.0), strict=True):
            axes.plot((1.0, 1.02), (end, place), color=FAINT, linewidth=0.8, **inside)
            text = f"{line.label} ↑" if line.last > self.top else line.label
            look = {"fontsize": SIZE, "va": "center", "parse_math": False}
            axes.text(1.025, place, text, color=line.color, transform=axes.transAxes, **look)


def draw_line(axes: Any, line: Line) -> None:
    if not line.curve:
        axes.axhline(line.value, color=line.color, linewidth=1.0, linestyle="--", zorder=1)
        return
    if line.faint:
        axes.plot(*zip(*line.faint, strict=True), color=line.color, alpha=0.25, linewidth=0.7)
    dots = 4 if line.marked and len(line.curve) <= FEW else 0
    axes.plot(*zip(*line.curve, strict=True), color=line.color, linewidth=1.8, marker="o", markersize=dots)
