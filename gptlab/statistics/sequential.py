"""When to stop: seeds are added look by look, and an arm is decided as soon as the error allows it.

A group-sequential sign-flip test. Under no difference, the share of sign flips that would have decided is the
chance of a false decision; each look may spend its own part of that error, after a power-family spending function
(Lan and DeMets 1983; Kim and DeMets 1987). To compare learners so is AdaStop's idea (Mathieu et al. 2023, arXiv
2306.10882).

Legend: n seeds, S flips, K looks; a difference is the arm's loss less the baseline's of the same seed; of a seed
that broke down it is +inf (the arm did) or -inf (the baseline did), and counts as the largest difference seen so
far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gptlab.statistics.flips import DIMENSIONS, flips
from gptlab.statistics.paired import ALPHA

BISECTIONS = 18
STEP = 3  # seeds between two looks


def spent(share: float) -> float:
    """The part of the error that may be spent once this share of all seeds is there.

    Its cube: near O'Brien and Fleming's rule, which keeps most of the error for the last look. But linear in
    the error, and what a look does not use of its part is not handed on: so what is decided at one error rate
    is decided at each higher one too, and p values, with Holm's correction of them, are valid.
    """
    return share**3


def looks_of(most: int, arms: int = 1, alpha: float = ALPHA) -> list[int]:
    """After how many seeds it is looked: first where the best arm could be decided, each STEP, and at the end."""
    first = next((n for n in range(2, most) if arms * least_p([n], most) <= alpha), most)
    return [*range(first, most - 1, STEP), most]


def least_p(looks: Sequence[int], most: int) -> float:
    """The smallest p that `sequential_p` can give; uncorrected for the number of arms."""
    shares = [spent(n / most) for n in looks]
    parts = np.diff(shares, prepend=0.0)
    return float(
        min([1.0, *(2.0 ** (1 - min(n, DIMENSIONS)) / part for n, part in zip(looks, parts, strict=True))])
    )


def fewest_seeds(arms: int = 1, alpha: float = ALPHA) -> int:
    """How many seeds give the best of the arms a p of alpha, corrected for their number: 2 arms / 2^n."""
    return math.ceil(math.log2(2 * arms / alpha))


def sequential_p(differences: Sequence[float], looks: Sequence[int], most: int) -> float:
    """The smallest error rate at which these differences would have been decided by now, two-sided; 1 if at none.

    looks: after how many seeds it was looked, growing, none beyond the differences there are. most: the largest
    number of seeds that there may be. With one look at the end: the p of the sign-flip test (Fisher 1935).
    """
    return smallest_error(looks_at(differences, looks, most, two_sided=True))


def sequential_p_equivalent(
    differences: Sequence[float], looks: Sequence[int], most: int, epsilon: float
) -> float:
    """The same for two one-sided tests (Schuirmann 1987) of a mean difference of -epsilon and of epsilon: small
    if it lies between. 1 if a seed broke down, or for no epsilon."""
    values = np.asarray(differences, dtype=np.float64)
    if epsilon <= 0 or not np.isfinite(values).all():
        return 1.0
    sides = [epsilon - values, epsilon + values]
    if values.mean() < 0:
        sides.reverse()
    harder, other = (looks_at(side, looks, most, two_sided=False) for side in sides)
    p = smallest_error(harder)
    return p if p == 1.0 or decides(other, p) else smallest_error(other)


@dataclass(frozen=True)
class Look:
    """part: of the error, that it may spend. sums (S,): of the differences under each flip, first as seen."""

    part: float
    sums: np.ndarray


def looks_at(
    differences: Sequence[float] | np.ndarray, looks: Sequence[int], most: int, two_sided: bool
) -> list[Look]:
    if not looks:
        return []
    values = np.asarray(differences, dtype=np.float64)
    signs = flips(looks[-1])
    parts = np.diff([spent(n / most) for n in looks], prepend=0.0)
    found = []
    for n, part in zip(looks, parts, strict=True):
        seen = imputed(values[:n])
        # Rounded, so that sums that are equal but for the order of adding are.
        sums = np.round(signs[:, :n] @ (seen / (np.abs(seen).sum() or 1.0)), 10)
        found.append(Look(float(part), np.abs(sums) if two_sided else sums))
    return found


def imputed(differences: np.ndarray) -> np.ndarray:
    """With the largest difference there is, of either side, in the place of an infinite one."""
    known = np.isfinite(differences)
    largest = np.abs(differences[known]).max(initial=0.0) or 1.0
    return np.where(known, differences, np.copysign(largest, differences))


def decides(looks: Sequence[Look], alpha: float) -> bool:
    gone = np.zeros(0, dtype=bool)  # the flips under which an earlier look would have decided
    for look in looks:
        left = look.sums if not len(gone) else look.sums[~gone]
        allowed = math.floor(alpha * look.part * len(look.sums) + 1e-9)
        if np.count_nonzero(left >= look.sums[0]) <= allowed:
            return True
        if allowed:
            limit = np.partition(left, -allowed - 1)[-allowed - 1]
            beyond = look.sums > limit
            gone = beyond | gone if len(gone) else beyond
    return False


def smallest_error(looks: Sequence[Look]) -> float:
    if not decides(looks, 1.0):
        return 1.0
    low, high = math.log(1e-6), 0.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if decides(looks, math.exp(middle)) else (middle, high)
    return math.exp(high)
