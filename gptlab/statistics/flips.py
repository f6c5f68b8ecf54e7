"""Sign flips: under no difference, the sign of each seed's difference could as well have been the other one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

DIMENSIONS = 13  # seeds up to which all 2^n flips are counted


@lru_cache(maxsize=4)  # some megabytes each
def flips(seeds: int) -> np.ndarray:
    """(S, seeds) of -1 and 1: a group of flips; the first row is none, and with each row its opposite is there.

    All 2^seeds of them to DIMENSIONS seeds, beyond those of a linear code of that dimension. An error rate that
    is counted over a group is exact, however few of all flips are in it: over random ones it would only be near
    (Hemerik and Goeman 2018). Of fewer seeds the columns are the first of those of more, so that a later look
    agrees with an earlier.
    """
    free = min(seeds, DIMENSIONS)
    words = np.arange(2**free)
    bits = words[:, None] >> np.arange(free) & 1
    if seeds > free:
        # The sign of a further seed is the parity of some of the first. Of an odd number of them, so that
        # the flip of all is in the group, and no two seeds of the same ones: these would be flipped
        # together always.
        odd = [mask for mask in range(2**free) if mask.bit_count() % 2 == 1 and mask.bit_count() > 1]
        masks = np.resize(np.random.default_rng(0).permutation(odd), seeds - free)
        bits = np.hstack([bits, np.bitwise_count(words[:, None] & masks) & 1])
    found = 1.0 - 2.0 * bits
    found.setflags(write=False)
    return found
