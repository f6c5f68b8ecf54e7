"""When to stop: seeds are added look by look, and an arm is decided as soon as the error allows it.

A group-sequential sign-flip test. Under no difference the sign of each difference is as likely to be the other, so that
the chance of an early decision is counted over signs that are flipped at random (or all of them, where these are few);
each look may spend as much of the error as an O'Brien-Fleming-like function allows (Lan and DeMets 1983). The idea of
comparing learners so is AdaStop's (Mathieu et al. 2023, arXiv 2306.10882).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

SIGNS = 2**13  # flips that are counted


def spent(alpha: float, share: float) -> float:
    """How much of the error may be spent once this share of all seeds is there."""
    return 2 * float(stats.norm.sf(stats.norm.ppf(1 - alpha / 2) / math.sqrt(share)))


def looks_of(most: int, first: int = 6, step: int = 3) -> list[int]:
    """After how many seeds it is looked: from `first` on (fewer could not reach 5%) each `step`, and at the end."""
    return [*range(min(first, most), most, step), most]


def is_decided(differences: Sequence[float], looks: Sequence[int], alpha: float) -> bool:
    """Whether these differences reach a decision at one of the looks that they are enough for.

    looks: after how many seeds, growing; the last is the largest number that there may be. Which signs are
    flipped does not depend on the differences, so that a later look agrees with what an earlier one decided.
    """
    values = np.asarray(differences, dtype=np.float64)
    most = looks[-1]
    signs = flips(most)
    flipped = np.zeros(len(signs), dtype=bool)  # those that would have decided before
    for n in looks:
        if n > len(values):
            return False
        sums = np.abs(signs[:, :n] @ values[:n])
        allowed = math.floor(spent(alpha, n / most) * len(signs) + 1e-9) - int(flipped.sum())
        if allowed <= 0:
            continue
        # Row 0 is what was seen. As many as are allowed may lie at or above the threshold, ties included.
        order = np.sort(sums[~flipped])[::-1]
        limit = order[allowed] if allowed < len(order) else -math.inf
        beyond = ~flipped & (sums > limit * (1 + 1e-12) if limit > 0 else sums > 0)
        if beyond[0]:
            return True
        flipped |= beyond
    return False


def flips(most: int) -> np.ndarray:
    """(S, most) of -1 and 1, no flip in the first row: all of them if these are few, else drawn."""
    if 2**most <= SIGNS:
        bits = (np.arange(2**most)[:, None] >> np.arange(most)) & 1
        return 1.0 - 2.0 * bits
    drawn = np.random.default_rng(0).integers(0, 2, (SIGNS, most)) * 2.0 - 1.0
    drawn[0] = 1.0
    return drawn


def p_of(differences: Sequence[float], looks: Sequence[int]) -> float:
    """The smallest error rate at which these differences would have been decided by now; 1 if at none."""
    if not is_decided(differences, looks, 0.999):
        return 1.0
    low, high = 0.0, 0.999
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if is_decided(differences, looks, middle) else (middle, high)
    return high
