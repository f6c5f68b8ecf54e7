"""Loss against the number of parameters: L = a · N^-b, or L = a · N^-b + c where the sizes tell c."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    from scipy.optimize import OptimizeWarning, curve_fit

    # In units of the lowest loss, and sizes around their geometric mean: a and b are then hardly correlated, and a
    # is no astronomic number.
    middle = math.exp(float(np.log(sizes).mean()))

    def law(x: np.ndarray, log_a: float, b: float, c: float) -> np.ndarray:
        return np.log(np.exp(log_a - b * x) + c)

    lowest = float(losses.min())
    begin = (math.log(0.5), min(2 * start.b, 4.0), 0.5)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)  # no covariance: c is anything
            found, covariance = curve_fit(
                law,
                np.log(sizes / middle),
                np.log(losses / lowest),
                p0=begin,
                bounds=([-30.0, 0.0, 0.0], [100.0, 5.0, 1.0]),
            )
    except (RuntimeError, OptimizeWarning):
        return None
    log_a, b, c = (float(value) for value in found)
    errors = np.sqrt(np.diag(covariance))
    if not np.isfinite(errors).all() or c <= 2 * errors[2] or c < 0.01:
        return None
    a = math.exp(log_a + b * math.log(middle))
    return PowerLaw(a * lowest, b, c * lowest, (float(errors[1]), float(errors[2]) * lowest), len(sizes))
