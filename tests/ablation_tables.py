"""Ablations that are only drawn: losses of a baseline and of arms, judged look by look as the runner does."""

from collections.abc import Callable, Sequence

import numpy as np

from gptlab.ablation.judging import Decision, Pairs, decisions, pairs_of

Losses = dict[int, float | None]
Judge = Callable[[Sequence[Pairs]], list[Decision]]
NOISE = 0.02  # what a seed does to the difference


def table(rng: np.random.Generator, differences: Sequence[float], seeds: int) -> tuple[Losses, list[Losses]]:
    """A baseline, and arms that are so much worse; their losses share what a seed does to both."""
    shared = 2.0 + rng.normal(0.0, 0.1, seeds)
    own = rng.normal(0.0, NOISE / np.sqrt(2), (len(differences) + 1, seeds))
    baseline, *arms = (dict(enumerate((shared + noise).tolist())) for noise in own)
    return baseline, [
        {seed: loss + worse for seed, loss in arm.items()}
        for arm, worse in zip(arms, differences, strict=True)
    ]


def verdicts(
    baseline: Losses,
    arms: Sequence[Losses],
    looks: Sequence[int],
    epsilon: float = 0.0,
    judge: Judge | None = None,
) -> tuple[list[str], int]:
    """And how many runs of arms it took: a decided arm gets no more seeds."""
    seen = [0] * len(arms)
    found: list[Decision] = []
    for look in looks:
        seen = [look if not found or not found[i].final else n for i, n in enumerate(seen)]
        pairs = [
            pairs_of(baseline, {seed: arm[seed] for seed in range(n)}, looks, list(range(looks[-1])))
            for arm, n in zip(arms, seen, strict=True)
        ]
        found = decisions(pairs, epsilon) if judge is None else judge(pairs)
    return [one.verdict for one in found], sum(seen)
