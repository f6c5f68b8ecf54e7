"""The verdicts of one table: each arm against the baseline, by the seeds that are there so far.

Two kinds of claims can be false, and of each the chance that any in the table is, over all looks, is at most ALPHA:
- better or worse, where there is no difference: sign-flip tests, their sequential p values corrected for the arms
  (Holm 1979). A p value only falls from look to look, and so does what Holm makes of it: what is decided stays so,
  and at each look the arms can be corrected for what is known by then (Maurer and Bretz 2013).
- equivalent, where the difference is epsilon or more: two one-sided sign-flip tests, corrected in the same way.
What is both, different and within epsilon, is equivalent: epsilon is what is too small to matter.

A run that broke down counts: against an arm as the largest difference that it has shown, likewise against the
baseline, and as no difference where both did. An arm that lost more runs than the baseline is never better, one
with a lost pair never equivalent, and one that lost all its runs failed. The difference and its intervals can only
be of the seeds that both finished. They are of that many seeds, not corrected for the looks or the arms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gptlab.ablation.result import Comparison, Verdict
from gptlab.statistics.paired import ALPHA, deviation_of, holm, paired
from gptlab.statistics.power import MOST, seeds_needed
from gptlab.statistics.sequential import (
    fewest_seeds,
    imputed,
    least_p,
    sequential_p,
    sequential_p_equivalent,
)

Losses = Mapping[int, float | None]  # by seed; None of a run that broke down


@dataclass(frozen=True)
class Judged:
    """decided: whether no more seeds need be added."""

    comparison: Comparison
    decided: bool


@dataclass(frozen=True)
class Pairs:
    """differences: a seed each, in their order; infinite where one of the two broke down, 0 where both did.
    finished: of the others. lost: runs of the arm that broke down. barred: whether these are more than the
    baseline's. looks: after how many seeds it was looked. most: seeds that there may be."""

    differences: list[float]
    finished: list[float]
    lost: int
    barred: bool
    looks: list[int]
    most: int


@dataclass(frozen=True)
class Decision:
    """p: corrected. final: whether more seeds would not change the verdict."""

    p: float
    verdict: Verdict
    final: bool


def judge(
    baseline: Losses,
    arms: Sequence[Losses],
    looks: Sequence[int],
    epsilon: float,
    seeds: Sequence[int],
    alpha: float = ALPHA,
) -> list[Judged]:
    """Each arm, by the seeds that it shares with the baseline; one that was decided before may have fewer.

    looks: after how many seeds it is looked; the last is the most there may be. To be asked then, and not in
    between. Where the seeds end before, for another reason than their losses (a budget of time), the looks up to
    there, at the end: all of the error may then be spent, and what was decided stays so. seeds: all there may be,
    in their order.
    """
    found = [pairs_of(baseline, arm, looks, seeds) for arm in arms]
    judged = []
    for pairs, decision in zip(found, decisions(found, epsilon, alpha), strict=True):
        told = len(arms) * least_p(pairs.looks, pairs.most) <= alpha
        needs = None if decision.final else seeds_to_decide(pairs, epsilon, alpha / len(arms))
        comparison = compared(pairs, decision.p if told else None, decision.verdict, needs)
        judged.append(Judged(comparison, decision.final and len(pairs.differences) >= looks[0]))
    return judged


def decisions(table: Sequence[Pairs], epsilon: float, alpha: float = ALPHA) -> list[Decision]:
    """Of all arms of one table."""
    different = holm([sequential_p(pairs.differences, pairs.looks, pairs.most) for pairs in table])
    alike = holm([within(pairs, epsilon) for pairs in table])
    return [decision(*each, alpha) for each in zip(table, different, alike, strict=True)]


def pairs_of(baseline: Losses, arm: Losses, looks: Sequence[int], seeds: Sequence[int]) -> Pairs:
    both = [(finite(baseline[seed]), finite(arm[seed])) for seed in seeds if seed in baseline and seed in arm]
    finished = [after - before for before, after in both if before is not None and after is not None]
    lost = sum(after is None for _, after in both)
    barred = lost > sum(before is None for before, _ in both)
    count = len(both)
    seen = [n for n in looks if n < count] + [count] * (count > 0)
    return Pairs([difference(*pair) for pair in both], finished, lost, barred, seen, max(looks[-1], count))


def difference(before: float | None, after: float | None) -> float:
    if before is None:
        return 0.0 if after is None else -math.inf
    return math.inf if after is None else after - before


def finite(loss: float | None) -> float | None:
    return loss if loss is not None and math.isfinite(loss) else None


def within(pairs: Pairs, epsilon: float) -> float:
    if len(pairs.finished) < len(pairs.differences):
        return 1.0
    return sequential_p_equivalent(pairs.differences, pairs.looks, pairs.most, epsilon)


def decision(pairs: Pairs, p: float, q: float, alpha: float) -> Decision:
    """p, q: corrected, of no difference and of one of epsilon."""
    if pairs.differences and pairs.lost == len(pairs.differences):
        return Decision(p, "failed", True)
    if q <= alpha:
        return Decision(p, "equivalent", True)
    if p > alpha:
        return Decision(p, "undecided", False)
    if imputed(np.array(pairs.differences)).mean() > 0:
        return Decision(p, "worse", True)
    return Decision(p, "undecided" if pairs.barred else "better", True)


def seeds_to_decide(pairs: Pairs, epsilon: float, alpha: float) -> int | None:
    """About how many more would see this difference, or see that it is within epsilon, if it stays as it is.
    None if no number would."""
    count, fewest = len(pairs.differences), fewest_seeds(alpha=alpha)
    if count < 2:
        return fewest - count
    values = imputed(np.array(pairs.differences))
    mean, deviation = float(values.mean()), deviation_of(values)
    needed = MOST if pairs.barred and mean < 0 else seeds_needed(mean, deviation, alpha=alpha)
    if abs(mean) < epsilon and len(pairs.finished) == count:
        needed = min(needed, seeds_needed(epsilon - abs(mean), deviation, alpha=2 * alpha))  # one-sided
    return max(1, max(fewest, needed) - count) if needed < MOST else None


def compared(pairs: Pairs, p: float | None, called: Verdict, needs: int | None) -> Comparison:
    finished, count = pairs.finished, len(pairs.differences)
    if len(finished) < 2:
        only = finished[0] if finished else None
        return Comparison(count, only, None, None, None, p, called, needs, pairs.lost)
    told = paired(finished)
    bootstrap = None if told.bootstrap is None else (told.bootstrap.low, told.bootstrap.high)
    low, high = told.interval.low, told.interval.high
    return Comparison(count, told.mean, low, high, bootstrap, p, called, needs, pairs.lost)
