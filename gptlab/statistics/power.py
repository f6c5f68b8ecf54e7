"""What a number of seeds can see, by the paired t test's power; that of the sign-flip test is near it."""

from __future__ import annotations

import math

from scipy import optimize, stats

from gptlab.statistics.paired import ALPHA
from gptlab.statistics.sequential import fewest_seeds

POWER = 0.8
MOST = 10_000  # seeds that are thought of


def power_of(n: int, effect: float, alpha: float = ALPHA) -> float:
    """How often a two-sided paired t test of n seeds sees a difference of `effect` deviations."""
    # Where nothing is left to tell, scipy's noncentral t has no answer: beyond 1,000 errors, and on the side
    # not meant.
    critical, shift = stats.t.ppf(1 - alpha / 2, n - 1), min(effect * math.sqrt(n), 1000.0)
    other = stats.nct.cdf(-critical, n - 1, shift) if shift < 5 else 0.0
    return float(stats.nct.sf(critical, n - 1, shift) + other)


def detectable(n: int, deviation: float, power: float = POWER, alpha: float = ALPHA) -> float:
    """The difference that n seeds, two at least, see with this power. deviation: of the differences."""
    found = optimize.brentq(lambda effect: power_of(n, effect, alpha) - power, 1e-6, 1000.0)
    return float(found) * deviation


def seeds_needed(difference: float, deviation: float, power: float = POWER, alpha: float = ALPHA) -> int:
    """How many seeds see a difference with this power, and can reach alpha in the sign-flip test; MOST at most."""
    fewest = fewest_seeds(alpha=alpha)
    if not difference:
        return MOST
    if not deviation:
        return fewest
    low, high, effect = fewest - 1, MOST, abs(difference) / deviation
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle, effect, alpha) >= power else (middle, high)
    return high
