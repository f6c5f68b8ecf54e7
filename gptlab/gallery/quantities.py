"""The numbers of a claim, one a seed, worked out of what was measured; and the verdict on it.

Legend: S seeds, G values of the grid (1 without one).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gptlab.gallery.claims import BEST, BEST_VALUE, SENSITIVITY, SPAN, Claim, Operand
from gptlab.gallery.measures import HIGHER, PARAMETERS, Measure, quotient
from gptlab.statistics.paired import paired
from gptlab.sweeps.by_parameters import without_floor

HOLDS, FAILS, OPEN, MISSING = "holds", "fails", "open", "missing"
WORDS = {
    HOLDS: "holds",
    FAILS: "does not hold",
    OPEN: "open: its interval reaches further, more seeds would tell",
    MISSING: "no number: a run that it needs has none",
}


@dataclass(frozen=True)
class Measured:
    """numbers: by arm, then by value of the grid, then by seed, the measures: `numbers["relu"][0][2]["loss"]`.

    by: the measure by which the best value of the grid is chosen; None for the one that is asked for.
    """

    numbers: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]
    grid: tuple[float, ...] | None
    by: Measure | None = None

    def of(self, arm: str, measure: str) -> np.ndarray:
        """(G, S)"""
        return np.array([[seed[measure] for seed in seeds] for seeds in self.numbers[arm]], dtype=float)

    def best_place(self, arm: str, measure: Measure) -> int:
        """The place in the grid whose mean over seeds is best; one with a run that broke down never is, if another
        is."""
        chosen = self.by or measure
        means = self.of(arm, chosen.name).mean(1) * (-1 if chosen.better == HIGHER else 1)
        return int(np.argmin(np.where(np.isnan(means), math.inf, means)))


@dataclass(frozen=True)
class Found:
    """values: a seed each. value: their mean; low, high: its 95% interval by Student's t, None for one seed.

    Where a value is infinite, the median, and the lowest and the highest one.
    state: HOLDS if all of the interval is where it is expected; OPEN if only the value is: more seeds would tell;
    FAILS if the value is not; MISSING if a run that it needs has no number.
    """

    claim: Claim
    values: tuple[float, ...]
    value: float
    low: float | None
    high: float | None
    state: str


def found_of(claim: Claim, measured: Measured) -> Found:
    values = quantity(claim, measured)
    value, low, high = summed_up(values, claim.is_geometric)
    return Found(claim, tuple(values.tolist()), value, low, high, state_of(claim, value, low, high))


def state_of(claim: Claim, value: float, low: float | None, high: float | None) -> str:
    if math.isnan(value):
        return MISSING
    least = -math.inf if claim.least is None else claim.least
    most = math.inf if claim.most is None else claim.most
    if not least <= value <= most:
        return FAILS
    if low is None or high is None or (least <= low and high <= most):
        return HOLDS
    return OPEN


def summed_up(values: np.ndarray, geometric: bool) -> tuple[float, float | None, float | None]:
    """The mean of (S,) values, or that of their logarithms, and its interval."""
    if np.isnan(values).any():
        return math.nan, None, None
    if len(values) == 1:
        return float(values[0]), None, None
    if not np.isfinite(values).all():
        ordered = np.sort(values)  # a median that halves infinity and a number is no number
        return float(ordered[(len(values) - 1) // 2]), float(ordered[0]), float(ordered[-1])
    if geometric and (values > 0).all():
        return tuple(math.exp(one) for one in summed_up(np.log(values), geometric=False))  # type: ignore[return-value, arg-type]
    found = paired(values.tolist(), with_bootstrap=False)
    return found.mean, found.interval.low, found.interval.high


def quantity(claim: Claim, measured: Measured) -> np.ndarray:
    """(S,)"""
    sides = [operand_values(one, claim, measured) for one in claim.operands]
    if claim.kind == "value":
        return sides[0]
    if claim.kind == "difference":
        with np.errstate(invalid="ignore"):  # of two that never passed a threshold
            return sides[0] - sides[1]
    if claim.kind == "ratio":
        return np.array([quotient(one, two) for one, two in zip(*map(np.ndarray.tolist, sides), strict=True)])
    sizes = np.array([measured.of(one.arm, PARAMETERS)[0, 0] for one in claim.operands])
    return np.array([exponent(sizes, losses - claim.floor) for losses in np.transpose(sides)])


def operand_values(operand: Operand, claim: Claim, measured: Measured) -> np.ndarray:
    """(S,)"""
    table = measured.of(operand.arm, operand.measure.name)
    if operand.at is not None:
        return table[operand.at]
    if claim.across == BEST:
        return table[measured.best_place(operand.arm, operand.measure)]
    losses = -table if operand.measure.better == HIGHER else table
    grid = np.log10(np.array(measured.grid))
    each = {
        BEST_VALUE: lambda one: 10 ** lowest_place(grid, one),
        SENSITIVITY: lambda one: sensitivity(one, claim.number),
        SPAN: lambda one: span(grid, one, claim.number),
    }[claim.across]
    return np.array([each(column) for column in losses.T])


def lowest_place(grid: np.ndarray, losses: np.ndarray) -> float:
    """Where between the values of the grid the loss is lowest, by a parabola through the lowest and its neighbours.

    The lowest itself where it is the first or last, or a neighbour broke down; NaN where all did.
    """
    if np.isnan(losses).all():
        return math.nan
    i = int(np.nanargmin(losses))
    if not 0 < i < len(grid) - 1 or not np.isfinite(losses[i - 1 : i + 2]).all():
        return float(grid[i])
    x, y = grid[i - 1 : i + 2] - grid[i], losses[i - 1 : i + 2]
    a, b, _ = np.polyfit(x, y, 2)
    return float(grid[i] + (np.clip(-b / (2 * a), x[0] / 2, x[2] / 2) if a > 0 else 0.0))


def sensitivity(losses: np.ndarray, ceiling: float) -> float:
    """E[min(loss, ceiling) - the lowest loss] over the grid (Wortsman et al. 2023, section 2.2)."""
    capped = np.where(np.isnan(losses), ceiling, np.minimum(losses, ceiling))
    return float(capped.mean() - capped.min())


def span(grid: np.ndarray, losses: np.ndarray, within: float) -> float:
    """Decades around the best value in which the loss is at most `within` above it, on straight lines between the
    values; where one broke down, up to its neighbour."""
    if np.isnan(losses).all():
        return math.nan
    at, limit = int(np.nanargmin(losses)), float(np.nanmin(losses)) + within
    return reach(grid[at:], losses[at:], limit) + reach(-grid[: at + 1][::-1], losses[: at + 1][::-1], limit)


def reach(grid: np.ndarray, losses: np.ndarray, limit: float) -> float:
    for i in range(1, len(grid)):
        if math.isnan(losses[i]):
            return float(grid[i - 1] - grid[0])
        if losses[i] > limit:
            part = (limit - losses[i - 1]) / (losses[i] - losses[i - 1])
            return float(grid[i - 1] + part * (grid[i] - grid[i - 1]) - grid[0])
    return float(grid[-1] - grid[0])


def exponent(sizes: np.ndarray, losses: np.ndarray) -> float:
    """b of loss = a N^-b; NaN where the loss does not fall with the size, or is not above the floor."""
    if not np.isfinite(losses).all() or (losses <= 0).any():
        return math.nan
    law = without_floor(sizes, losses)
    return math.nan if law is None else law.b
