"""Loss against the number of parameters on log axes, with a power law through the best of each size."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.calling import as_called
from gptlab.drawing.colors import FAINT, INK
from gptlab.sweeps.groups import groups_over_seeds
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.style import COLORS, few_log_marks, mark_values, new_figure, number, style
from gptlab.sweeps.values import SEED, finished, numbers, short


def best_of_sizes(records: Sequence[JobRecord], keys: Sequence[str]) -> list[tuple[int, float]]:
    """`(parameters, loss)` by size: the lowest loss that was reached at it, of seeds the mean."""
    by_size: dict[int, list[JobRecord]] = {}
    for record in finished(records):
        if record.parameters:
            by_size.setdefault(record.parameters, []).append(record)
    return [(size, groups_over_seeds(jobs, keys)[0].mean) for size, jobs in sorted(by_size.items())]


def by_parameters(
    records: Sequence[JobRecord],
    best: Sequence[tuple[int, float]],
    law: PowerLaw | None,
    title: str,
    measure: str,
) -> bytes:
    """A PNG; empty for fewer than two sizes."""
    if len(best) < 2:
        return b""
    figure = new_figure(8, 4.8)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    jobs = [(record.parameters, record.score) for record in finished(records) if record.parameters]
    if len(jobs) > len(best):
        axes.plot(
            *zip(*jobs, strict=True),
            "o",
            color=FAINT,
            alpha=max(0.15, min(0.8, 60 / len(jobs))),
            markersize=4.5,
            markeredgewidth=0,
            label="a job",
            zorder=2,
        )
    axes.plot(
        *zip(*best, strict=True), "o", color=COLORS[0], markersize=6.5, label="the best of its size", zorder=4
    )
    if law is not None:
        sizes = np.geomspace(best[0][0], best[-1][0], 200)
        axes.plot(sizes, law(sizes), color=INK, linewidth=1.4, linestyle="--", label=law.mathtext, zorder=3)
    style(axes, "parameters", f"{measure} (nats a token)", title)
    axes.grid(axis="x", color=FAINT, alpha=0.15, linewidth=0.8)
    mark_sizes(axes.xaxis, [size for size, _ in best])
    few_log_marks(axes.yaxis)
    axes.legend(frameon=False, fontsize=9, loc="best")
    return figure.png()


def mark_sizes(axis: Any, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_minor_locator(NullLocator())
    decades = math.log10(sizes[-1] / sizes[0])
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 4 else (1.0,), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    mark_values(axis, {float(size): number(size) for size in sizes})


# What the sizes of one architecture differ in: depth and width are one family in the literature of scaling (Kaplan et
# al. 2020), and so is how far a model sees.
SIZES = {f"model.{name}" for name in ("nLayer", "nEmbd", "nHead", "headDim", "blockSize")}
RATE = "train.learningRate"
TUNED = 3  # rates, at least: of two none can be within


def more_than_sizes(swept: Mapping[str, Sequence[str]]) -> list[str]:
    """The swept keys that set more apart than sizes, and numbers that are tuned for each size."""
    plain = {key: key.lstrip("+") for key in swept}
    return [
        short(key)
        for key, name in plain.items()
        if name not in SIZES | {SEED, RATE}
        and not (name.startswith(("optimizer.", "schedule.")) and numbers(swept[key]) is not None)
    ]


def rates_of_each(records: Sequence[JobRecord]) -> int:
    """At how many learning rates each size at least was trained to its end."""
    rates: dict[int, set[str]] = {}
    for record in finished(records):
        if record.parameters:
            rates.setdefault(record.parameters, set()).add(record.overrides.get(RATE, ""))
    return min(map(len, rates.values()), default=0)


def law_sentence(
    best: Sequence[tuple[int, float]], law: PowerLaw | None, others: Sequence[str] = (), rates: int = TUNED
) -> str:
    """What was fitted, to what, and why not more; empty for fewer than FEWEST sizes.

    others: keys that make another model of the same size. rates: how many learning rates each size had to choose from.
    """
    if len(best) < FEWEST:
        return ""
    if others:
        return (
            f"No power law: the jobs differ in {', '.join(others)}, not only in their sizes, and one line through "
            "different models is no law. Sweep sizes (model.nEmbd, model.nLayer), and what you tune for each size."
        )
    rate = ""
    if rates < TUNED:
        had = "At one learning rate" if rates < 2 else "At only two learning rates"
        rate = (
            f" {had}, which may not be the best for each size: that bends the line. Tune it for each size with "
            f"{as_called('python -m gptlab ablate')} ... tune='train.learningRate=log(0.001,0.03,5)', or sweep it, "
            "too."
        )
    if law is None:
        return f"No power law: over these {len(best)} sizes the loss does not fall with the parameters.{rate}"
    fitted = f"Power law: {law.formula}, fitted to the best run at each of {law.sizes} sizes (b ± {law.errors[0]:.2g}"
    if law.c:
        return f"{fitted}, c ± {law.errors[1]:.2g}).{rate}"
    why = "these sizes do not tell one from zero"
    if len(best) < FEWEST_WITH_FLOOR:
        why = f"fewer than {FEWEST_WITH_FLOOR} sizes tell none"
    return f"{fitted}); without a floor c: {why}.{rate}"


FEWEST = 4  # sizes that a line is drawn through
FEWEST_WITH_FLOOR = 5


@dataclass(frozen=True)
class PowerLaw:
    """L = a · N^-b + c, fitted by least squares in log L; errors: the standard errors of b and of c."""

    a: float
    b: float
    c: float
    errors: tuple[float, float]
    sizes: int

    def __call__(self, parameters: np.ndarray) -> np.ndarray:
        return self.a * parameters**-self.b + self.c

    @property
    def formula(self) -> str:
        """`L = 4.1 · N^-0.381 + 1.92`."""
        # Of 2910.3 three digits, and not as 2.91e+03.
        a = f"{float(f'{self.a:.3g}'):,.0f}" if 1000 <= self.a < 1e9 else f"{self.a:.3g}"
        return f"L = {a} · N^{-self.b:.3f}" + (f" + {self.c:.3g}" if self.c else "")

    @property
    def mathtext(self) -> str:
        """The formula as matplotlib sets it."""
        return re.sub(r"N\^(\S+)", r"$N^{\1}$", self.formula)


def fit_power_law(best: Sequence[tuple[int, float]]) -> PowerLaw | None:
    """The law through `(parameters, loss)`, one pair a size; None for fewer than FEWEST sizes, or a loss
    that does not fall with them.

    The floor c is in it only if there are FEWEST_WITH_FLOOR sizes and it is above twice its own standard
    error: fewer points, or points on a straight line, fit any c.
    """
    if len(best) < FEWEST or any(size <= 0 or loss <= 0 for size, loss in best):
        return None
    sizes, losses = (np.array(column, dtype=float) for column in zip(*best, strict=True))
    straight = without_floor(sizes, losses)
    if straight is None:
        return None
    floored = with_floor(sizes, losses, straight) if len(best) >= FEWEST_WITH_FLOOR else None
    return floored or straight


def without_floor(sizes: np.ndarray, losses: np.ndarray) -> PowerLaw | None:
    x, y = np.log(sizes), np.log(losses)
    slope, intercept = np.polyfit(x, y, 1)
    if slope >= 0 or intercept > 100:  # a wall, not a law
        return None
    rest = y - (slope * x + intercept)
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(((x - x.mean()) ** 2).sum()))
    return PowerLaw(math.exp(intercept), -float(slope), 0.0, (error, math.nan), len(x))


def with_floor(sizes: np.ndarray, losses: np.ndarray, start: PowerLaw) -> PowerLaw | None:
    """None where the points do not say how high the floor is."""
    laws = with_shared_floor([(sizes, losses)], [start])
    return laws[0] if laws else None


def with_shared_floor(
    lines: Sequence[tuple[np.ndarray, np.ndarray]], starts: Sequence[PowerLaw]
) -> list[PowerLaw] | None:
    """A law through each of the lines, of sizes and losses, all above one floor; None where the points do not say
    how high it is. starts: the laws without."""
    from scipy.optimize import OptimizeWarning, curve_fit

    # In units of the lowest loss, and sizes around their geometric mean: a and b are then hardly correlated, and a
    # is no astronomic number.
    sizes, losses = (np.concatenate(column) for column in zip(*lines, strict=True))
    which = np.repeat(np.arange(len(lines)), [len(line[0]) for line in lines])
    middle, lowest = math.exp(float(np.log(sizes).mean())), float(losses.min())

    def law(x: np.ndarray, c: float, *each: float) -> np.ndarray:
        log_a, b = np.reshape(each, (2, -1))[:, which]
        return np.log(np.exp(log_a - b * x) + c)

    count = len(lines)
    begin = [0.5, *[math.log(0.5)] * count, *[min(2 * start.b, 4.0) for start in starts]]
    bounds = ([0.0, *[-30.0] * count, *[0.0] * count], [1.0, *[100.0] * count, *[5.0] * count])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)  # no covariance: c is anything
            found, covariance = curve_fit(
                law, np.log(sizes / middle), np.log(losses / lowest), p0=begin, bounds=bounds
            )
    except (RuntimeError, OptimizeWarning):
        return None
    c, errors = float(found[0]), np.sqrt(np.diag(covariance))
    if not np.isfinite(errors).all() or c <= 2 * errors[0] or c < 0.01:
        return None
    return [
        PowerLaw(
            math.exp(log_a + b * math.log(middle)) * lowest,
            float(b),
            c * lowest,
            (float(error), float(errors[0]) * lowest),
            len(line[0]),
        )
        for log_a, b, error, line in zip(
            found[1 : count + 1], found[count + 1 :], errors[count + 1 :], lines, strict=True
        )
    ]
