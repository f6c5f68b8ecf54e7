"""Differences between an arm and its baseline, seed by seed: how large, how sure, and what to call them.

Paired, since both sides of a difference share what a seed draws: initial weights, the order of the data, held-out texts.
Legend: n seeds; a difference is the arm's loss less the baseline's, in nats: below 0 the arm is better.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

ALPHA = 0.05
POWER = 0.8
EXACT = 14  # seeds up to which all 2^n signs are tried
MOST = 10_000  # seeds that are thought of


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """What n differences tell. interval: of their mean, by Student's t. bootstrap: the same by BCa (Efron 1987), None
    where it has no answer. p: of the exact sign-flip test; None if so few seeds could not reach ALPHA."""

    n: int
    mean: float
    deviation: float
    interval: Interval
    bootstrap: Interval | None
    p: float | None


def paired(differences: Sequence[float]) -> Paired:
    """Of at least two differences, all finite. Raises ValueError for others."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"two differences at least are needed, all finite: got {differences}")
    deviation = float(values.std(ddof=1))
    half = deviation / math.sqrt(len(values)) * float(stats.t.ppf(1 - ALPHA / 2, len(values) - 1))
    mean = float(values.mean())
    p = sign_flip(values) if 2 / 2 ** len(values) < ALPHA else None
    return Paired(len(values), mean, deviation, Interval(mean - half, mean + half), bootstrap(values), p)


def sign_flip(values: np.ndarray) -> float:
    """The two-sided p of the sign-flip permutation test (Fisher 1935): exact to EXACT seeds, else of 2^14 random signs."""
    if not values.any():
        return 1.0
    found = stats.permutation_test(
        (values,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2 ** min(len(values), EXACT),
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def bootstrap(values: np.ndarray) -> Interval | None:
    """Of the mean. None where all differences, or all but one, are alike: there is nothing to draw from."""
    if len(np.unique(values)) < 3:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (values,), np.mean, method="BCa", n_resamples=9999, rng=np.random.default_rng(0), vectorized=True
        ).confidence_interval
    return Interval(float(found.low), float(found.high)) if np.isfinite(found.low + found.high) else None


def equivalent(differences: Sequence[float], epsilon: float) -> float:
    """The p of two one-sided t tests (Schuirmann 1987): small if the mean difference lies within -epsilon..epsilon."""
    values = np.asarray(differences, dtype=np.float64)
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(len(values))
    if not error:
        return 0.0 if abs(mean) < epsilon else 1.0
    freedom = len(values) - 1
    above = stats.t.sf((mean + epsilon) / error, freedom)
    below = stats.t.cdf((mean - epsilon) / error, freedom)
    return float(max(above, below))


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of one table, corrected for their number (Holm 1979)."""
    order = np.argsort(ps)
    factors = len(ps) - np.arange(len(ps))
    corrected = np.empty(len(ps))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(ps, dtype=float)[order] * factors))
    return corrected.tolist()


def power_of(n: int, effect: float, alpha: float = ALPHA) -> float:
    """How often a two-sided paired t test of n seeds sees a difference of `effect` deviations."""
    critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), effect * math.sqrt(n)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def detectable(n: int, deviation: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """The difference that n seeds see with this power. deviation: of the differences."""
    found = optimize.brentq(lambda effect: power_of(n, effect, alpha) - power, 1e-6, 100.0)
    return float(found) * deviation


def seeds_needed(difference: float, deviation: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """How many seeds see a difference with this power, and could reach alpha in the sign-flip test; MOST at most."""
    fewest = math.floor(math.log2(2 / alpha)) + 1
    if not difference:
        return MOST
    if not deviation:
        return fewest
    low, high = fewest - 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if power_of(middle, abs(difference) / deviation, alpha) >= power else (middle, high)
        )
    return high
