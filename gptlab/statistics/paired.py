"""Differences between an arm and its baseline, seed by seed: how large, and how sure.

Paired, since both sides of a difference share what a seed draws: initial weights, the order of the data, held-out
texts. Legend: n seeds; a difference is the arm's loss less the baseline's, in nats: below 0 the arm is better.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # Student's t, inverted: scipy.stats takes a second to import

from gptlab.statistics.flips import flips

ALPHA = 0.05
RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """What n differences tell. interval: of their mean, by Student's t. bootstrap: the same by BCa, None where
    it has no answer. p: of the exact sign-flip test; None if so few seeds could not reach ALPHA."""

    n: int
    mean: float
    deviation: float
    interval: Interval
    bootstrap: Interval | None
    p: float | None


def paired(differences: Sequence[float], with_bootstrap: bool = True) -> Paired:
    """Of at least two differences, all finite. Raises ValueError for others. The bootstrap takes most of the time."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"two differences at least are needed, all finite: got {differences}")
    mean, deviation = float(values.mean()), deviation_of(values)
    half = deviation / math.sqrt(len(values)) * float(stdtrit(len(values) - 1, 1 - ALPHA / 2))
    drawn = bootstrap(values) if with_bootstrap else None
    p = sign_flip(values) if 2 / 2 ** len(values) <= ALPHA else None
    return Paired(len(values), mean, deviation, Interval(mean - half, mean + half), drawn, p)


def deviation_of(values: np.ndarray) -> float:
    """The standard deviation; 0 and not the rounding error of a mean where all values are alike."""
    return float(values.std(ddof=1)) if np.ptp(values) else 0.0


def sign_flip(differences: Sequence[float] | np.ndarray) -> float:
    """The two-sided p of the sign-flip permutation test of the mean (Fisher 1935)."""
    values = np.asarray(differences, dtype=np.float64)
    # Rounded, so that sums that are equal but for the order of adding are.
    sums = np.abs(np.round(flips(len(values)) @ (values / (np.abs(values).sum() or 1.0)), 10))
    return float(np.mean(sums >= sums[0]))


def bootstrap(values: np.ndarray, resamples: int = RESAMPLES) -> Interval | None:
    """The 95% interval of the mean by BCa (Efron 1987). None where all differences, or all but one, are alike:
    there is nothing to draw from.

    Of a few values it is too narrow (of 6 that are normal it holds the truth in 88% of the cases, of 24 in
    93%), and so it is asked for a higher level: the one that makes a percentile interval as wide as Student's t
    (Hesterberg 2015, "What teachers should know about the bootstrap", 4.3). So it holds it in 92.5% of the cases
    of 6 seeds, 94% from 7 on, 94.6% of 24; of skewed differences (exponential) 92% of 8 and 94% of 24, where
    the t interval holds it in 89% and 93%.
    """
    n = len(values)
    if len(np.unique(values)) < 3:
        return None
    from scipy import stats

    beyond = float(stats.norm.sf(stats.t.ppf(1 - ALPHA / 2, n - 1) * math.sqrt(n / (n - 1))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (values,),
            np.mean,
            method="BCa",
            confidence_level=1 - 2 * beyond,
            n_resamples=resamples,
            rng=np.random.default_rng(0),
            vectorized=True,
        ).confidence_interval
    return Interval(float(found.low), float(found.high)) if np.isfinite(found.low + found.high) else None


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of one table, corrected for their number (Holm 1979)."""
    order = np.argsort(ps)
    factors = len(ps) - np.arange(len(ps))
    corrected = np.empty(len(ps))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(ps, dtype=float)[order] * factors))
    return corrected.tolist()
