"""The loss curve of a run. Uses matplotlib's objects only: no pyplot, no global state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gptlab.drawing.colors import FAINT, INK, ORIGINAL, TRAIN, VALIDATION
from gptlab.training.metric_rows import loss_text
from gptlab.training.smoothing import LOSS, SMOOTHED, smoothed_points

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

Curve = list[tuple[int, float]]

# Facts of a dataset that a loss can be held against, and how they are called in the figure.
REFERENCES = {"entropyPerWord": "entropy of the data", "unigramEntropy": "unigram entropy"}


def loss_figure(history: dict[str, Curve], facts: dict[str, float], title: str) -> Picture:
    """Training loss, single steps and smoothed, validation loss, and the data's entropies if `facts` has them.

    `history` is `{metric name: [(step, value), ...]}`; values that are not finite leave gaps.
    """
    from gptlab.drawing.picture import Picture

    figure = Picture(8, 4.8)
    # Not a layout of matplotlib's, which draws everything twice.
    axes = figure.add_axes((0.08, 0.115, 0.9, 0.79))
    train = _finite(history.get(LOSS, []))
    validation = _finite(history.get("val/loss", []))
    _draw_train(axes, train, _finite(history.get(SMOOTHED, [])) or smoothed_points(train))
    original = _finite(history.get("val/originalLoss", []))
    for name, curve, color in (("validation", validation, VALIDATION), ("original data", original, ORIGINAL)):
        if curve:
            axes.plot(
                *zip(*curve, strict=True),
                color=color,
                linewidth=1.8,
                marker="o",
                markersize=4 if len(curve) <= 60 else 0,
                label=f"{name}: {loss_text(curve[-1][1])}",
            )
    if original:  # which rises, while the others fall
        highest = max(value for _, value in original)
        axes.set_ylim(top=max(axes.get_ylim()[1], 1.08 * highest))
    for (name, label), style in zip(REFERENCES.items(), ("--", (0, (1.5, 2))), strict=True):
        if name in facts:
            axes.axhline(facts[name], color=INK, linewidth=1.1, linestyle=style, zorder=1)
            axes.lines[-1].set_label(f"{label}: {facts[name]:.3f}")
    # y is given, since matplotlib would otherwise measure every label to see where the title has room.
    # A dollar sign in a name is no beginning of a formula.
    look = {"color": INK, "fontsize": 12, "fontweight": "bold", "parse_math": False}
    axes.set_title(title, look, loc="left", pad=10, y=1.0)
    axes.set_xlabel("step", color=INK)
    axes.set_ylabel("loss (nats a token)", color=INK)
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.margins(x=0.01)
    if axes.get_ylim()[1] >= 1000:  # numbers that need more room
        axes.set_position((0.13, 0.115, 0.85, 0.79))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9.5, loc="upper right")
    return figure


def _draw_train(axes: Any, train: Curve, smoothed: Curve) -> None:
    if not train:
        return
    steps, losses = zip(*train, strict=True)
    means = [mean for _, mean in smoothed]
    # At batch size 1 a single step is mostly noise: it is shown, but the mean is what is read.
    axes.plot(steps, losses, color=TRAIN, alpha=0.25, linewidth=0.7)
    label = f"training, smoothed: {loss_text(means[-1])}"
    axes.plot(*zip(*smoothed, strict=True), color=TRAIN, linewidth=2.0, label=label)
    # One wild step must not flatten all the others.
    top = max(*means, sorted(losses)[int(0.995 * (len(losses) - 1))])
    axes.set_ylim(bottom=0, top=1.08 * top if top > 0 else None)


def _finite(curve: Curve) -> Curve:
    return [(step, value) for step, value in curve if math.isfinite(value)]
