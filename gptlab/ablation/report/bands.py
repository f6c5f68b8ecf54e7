"""The validation loss by step, its mean over seeds with a 95% band, and the same of the differences to the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.ablation.report.tables import BASELINE, ranked
from gptlab.ablation.report.words import one_line
from gptlab.ablation.result import Ablation, Setting
from gptlab.drawing.colors import INK
from gptlab.sweeps.style import BAD, new_figure, plain, shades, style

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture

EARLY = 0.25  # of all steps: from there on the losses must be seen well
MOST = 12  # arms in one picture


@dataclass(frozen=True)
class Band:
    """By step: the mean over seeds and the 95% interval of that mean by Student's t."""

    steps: list[int]
    means: np.ndarray
    lows: np.ndarray
    highs: np.ndarray


def by_seed(setting: Setting) -> dict[int, dict[int, float]]:
    """`{seed: {step: loss}}` of the runs that did not break down."""
    runs = [run for run in setting.runs if run.loss is not None]
    found = {run.seed: {step: loss for step, loss in run.curve if math.isfinite(loss)} for run in runs}
    return {seed: curve for seed, curve in found.items() if curve}


def band(curves: Sequence[Mapping[int, float]]) -> Band | None:
    """Over the steps that all curves have; None if there is none."""
    from scipy.special import stdtrit

    steps = sorted(set(curves[0]).intersection(*curves)) if curves else []
    if not steps:
        return None
    losses = np.array([[curve[step] for step in steps] for curve in curves])
    if (n := len(curves)) < 2:
        return Band(steps, losses[0], losses[0], losses[0])
    with np.errstate(over="ignore", invalid="ignore"):  # of a run that is about to break down
        means = losses.mean(0)
        half = losses.std(0, ddof=1) / math.sqrt(n) * float(stdtrit(n - 1, 0.975))
    return Band(steps, means, means - half, means + half)


def differences(arm: Setting, baseline: Setting) -> list[dict[int, float]]:
    """The arm's curve less the baseline's, for each seed that both have."""
    ours, theirs = by_seed(arm), by_seed(baseline)
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    return [{step: one[step] - two[step] for step in one if step in two} for one, two in pairs]


def loss_bands(ablation: Ablation) -> dict[str, Band]:
    """By name, the arms best first and the baseline last; those without curves are left out."""
    settings = [(arm.name, arm.setting) for arm in ranked(ablation.arms)]
    settings.append((BASELINE, ablation.baseline))
    found = {name: band(list(by_seed(setting).values())) for name, setting in settings}
    return {name: one for name, one in found.items() if one is not None}


def curves(ablation: Ablation) -> Picture | None:
    """None if no run has a curve."""
    losses = loss_bands(ablation)
    if not losses:
        return None
    arms = [arm for arm in ranked(ablation.arms) if arm.name in losses][:MOST]
    colors: dict[str, Any] = dict(zip((arm.name for arm in arms), shades(len(arms)), strict=True))
    figure = new_figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    for name, color in [*colors.items(), (BASELINE, INK)]:
        if name in losses:
            _draw(left, losses[name], color, one_line(name))
    for arm in ablation.arms:
        _draw_lost(left, arm.setting)
    found = {arm.name: band(differences(arm.setting, ablation.baseline)) for arm in arms}
    apart = {name: one for name, one in found.items() if one is not None}
    for name, one in apart.items():
        _draw(right, one, colors[name])
    right.axhline(0.0, color=INK, linewidth=1.4)
    style(left, "step", "validation loss (nats a token)", "mean over seeds")
    style(right, "step", "", "paired difference to the baseline")
    _limit(left, list(losses.values()))
    _limit(right, list(apart.values()), zero=True)
    figure.legend(
        loc="outside lower center", ncols=min(4, len(losses)), frameon=False, fontsize=9, labelcolor=INK
    )
    return figure


def _draw(axes: Any, one: Band, color: Any, label: str = "") -> None:
    axes.fill_between(one.steps, one.lows, one.highs, color=color, alpha=0.15, linewidth=0)
    mark = "o" if len(one.steps) == 1 else None
    axes.plot(one.steps, one.means, color=color, linewidth=1.7, marker=mark, label=plain(label) or None)


def _draw_lost(axes: Any, setting: Setting) -> None:
    """Where the runs that broke down were, up to a cross at their last loss."""
    for run in setting.runs:
        points = [(step, loss) for step, loss in run.curve if math.isfinite(loss)]
        if run.loss is None and points:
            axes.plot(*zip(*points, strict=True), ":", color=BAD, linewidth=0.8)
            axes.plot(*points[-1], "x", color=BAD, markersize=5)


def _limit(axes: Any, bands: Sequence[Band], zero: bool = False) -> None:
    """What comes after the first steps fills the frame; an arm far away from the better half leaves it."""
    if not bands:
        return
    last = max(one.steps[-1] for one in bands)
    late = [np.array(one.steps) >= min(EARLY * last, one.steps[-1]) for one in bands]
    lows = [float(one.lows[seen].min()) for one, seen in zip(bands, late, strict=True)]
    highs = sorted(float(one.highs[seen].max()) for one, seen in zip(bands, late, strict=True))
    low = min([*lows, *([0.0] if zero else [])])
    middle = max(highs[(len(highs) - 1) // 2], *([0.0] if zero else [low]))
    high = max(value for value in [*highs, middle] if value <= low + 5 * (middle - low) or value <= middle)
    room = 0.06 * (high - low) or 0.01
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(0, last * 1.01 or 1)
