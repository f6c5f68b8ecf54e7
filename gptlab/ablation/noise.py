"""What seeds alone do to a loss, and so what a number of them can see: the line that stands before any comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gptlab.ablation.result import Noise
from gptlab.statistics.paired import ALPHA, deviation_of
from gptlab.statistics.power import detectable, seeds_needed

TARGET = 0.01  # nats


def noise_of(
    losses: Sequence[float], seeds: int, differences: Sequence[Sequence[float]] = (), arms: int = 1
) -> Noise:
    """For a table of so many arms, with so many seeds each, of the baseline's losses and of what differences, seed by
    seed, there are by now: a list for each arm, pooled. Two losses at least, all finite, or ValueError is raised.
    """
    if len(losses) < 2 or not np.isfinite(losses).all():
        raise ValueError(f"the noise of a loss needs two runs at least, with a loss each: got {list(losses)}")
    known = [np.asarray(arm, dtype=np.float64) for arm in differences if len(arm) > 1]
    if known:
        freedom = [len(arm) - 1 for arm in known]
        squares = [deviation_of(arm) ** 2 for arm in known]
        deviation = of_differences = math.sqrt(float(np.average(squares, weights=freedom)))
    else:
        deviation = deviation_of(np.asarray(losses, dtype=np.float64))
        of_differences = math.sqrt(2) * deviation
    alpha = ALPHA / arms
    needed = seeds_needed(TARGET, of_differences, alpha=alpha)
    return Noise(deviation, seeds, detectable(seeds, of_differences, alpha=alpha), needed, paired=bool(known))
