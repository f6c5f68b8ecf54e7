import math
import time

import numpy as np
import pytest

from gptlab.ablation.judging import Judged, judge
from gptlab.statistics.sequential import looks_of
from tests.ablation_tables import NOISE, Losses, table

SEEDS = list(range(12))


def judged(baseline: Losses, arm: Losses, epsilon: float = 0.0, looks: tuple[int, ...] = (12,)) -> Judged:
    return judge(baseline, [arm], looks, epsilon, SEEDS)[0]


def drawn(worse: float = 0.0, seed: int = 0) -> tuple[Losses, Losses]:
    baseline, arms = table(np.random.default_rng(seed), [worse], len(SEEDS))
    return baseline, arms[0]


@pytest.mark.parametrize(("worse", "verdict"), [(-3 * NOISE, "better"), (3 * NOISE, "worse")])
def test_a_clear_difference(worse: float, verdict: str) -> None:
    found = judged(*drawn(worse))
    told = found.comparison
    assert (told.verdict, found.decided, told.seeds, told.lost, told.needs) == (verdict, True, 12, 0, None)
    assert told.p == pytest.approx(2 / 2**12, rel=1e-3)
    assert told.low is not None and told.high is not None and told.difference is not None
    assert told.low < told.difference < told.high
    assert told.bootstrap is not None
    assert told.bootstrap[0] < told.difference < told.bootstrap[1]


def test_the_p_of_one_of_three_is_corrected() -> None:
    baseline, arms = table(np.random.default_rng(0), [-3 * NOISE, 0.0, 0.0], 12)
    found = judge(baseline, arms, [12], 0.0, SEEDS)
    assert found[0].comparison.p == pytest.approx(3 * 2 / 2**12, rel=1e-3)


def test_what_is_within_epsilon_is_equivalent_though_it_differs() -> None:
    baseline = drawn()[0]
    arm: Losses = {seed: (loss or 0.0) - 0.001 - 1e-5 * seed for seed, loss in baseline.items()}
    assert judged(baseline, arm).comparison.verdict == "better"
    assert judged(baseline, arm, epsilon=0.01).comparison.verdict == "equivalent"


@pytest.mark.parametrize("repetition", range(20))
def test_an_arm_equal_to_the_baseline_is_never_better(repetition: int) -> None:
    baseline = drawn(seed=repetition)[0]
    assert judged(baseline, dict(baseline), epsilon=0.01).comparison.verdict == "equivalent"
    undecided = judged(baseline, dict(baseline))
    assert undecided.comparison.verdict == "undecided"
    assert (undecided.comparison.p, undecided.comparison.needs) == (1.0, None)


def test_too_few_seeds_have_no_p_and_say_how_many_more() -> None:
    baseline, arm = drawn(-3 * NOISE)
    few = {seed: arm[seed] for seed in range(5)}
    told = judge(baseline, [few], [5], 0.0, SEEDS)[0].comparison
    assert (told.p, told.verdict, told.needs) == (None, "undecided", 1)
    # One of three arms needs 7 for what one alone can say with 6.
    six = {seed: arm[seed] for seed in range(6)}
    assert judge(baseline, [six], [6], 0.0, SEEDS)[0].comparison.verdict == "better"
    assert judge(baseline, [six] * 3, [6], 0.0, SEEDS)[0].comparison.p is None


def test_what_is_undecided_needs_fewer_seeds_the_larger_the_difference() -> None:
    needs = []
    for worse in (0.2, 0.4):
        baseline: Losses = {seed: 0.0 for seed in SEEDS}
        arm: Losses = {seed: worse + (1 if seed % 2 else -1) for seed in SEEDS}
        needs.append(judged(baseline, arm).comparison.needs or 0)
    assert needs[0] > 3 * needs[1] > 0


def test_an_arm_that_breaks_down_is_not_better_whatever_the_rest_say() -> None:
    baseline, arm = drawn(-3 * NOISE)
    found = judged(baseline, arm | {3: None})
    assert (found.comparison.verdict, found.comparison.lost, found.comparison.seeds) == ("undecided", 1, 12)
    assert found.comparison.needs is None
    assert judged(baseline, arm | {3: math.nan}).comparison == found.comparison
    assert judged(baseline, arm | {3: None}, epsilon=1.0).comparison.verdict == "undecided"


def test_runs_that_break_down_make_an_arm_worse() -> None:
    baseline, arm = drawn(NOISE)
    broken: Losses = arm | {seed: None for seed in range(6)}
    assert judged(baseline, broken).comparison.verdict == "worse"
    assert judged(baseline, {seed: None for seed in SEEDS}).comparison.verdict == "failed"


def test_runs_of_the_baseline_that_break_down_count_against_it() -> None:
    baseline, arm = drawn(-3 * NOISE)
    assert judged(baseline | {3: None}, arm).comparison.verdict == "better"
    assert judged(baseline | {3: None}, arm | {3: None}).comparison.verdict == "better"
    assert judged({seed: None for seed in SEEDS}, arm).comparison.verdict == "better"
    both = judged({seed: None for seed in SEEDS}, {seed: None for seed in SEEDS}).comparison
    assert (both.verdict, both.difference) == ("failed", None)
    only = judged(baseline | {3: None}, dict(baseline), epsilon=0.01).comparison
    assert only.verdict == "undecided"
    assert (only.difference, only.seeds) == (0.0, 12)


def test_seeds_without_a_pair_do_not_count() -> None:
    baseline, arm = drawn(-3 * NOISE)
    assert judged(baseline, {}).comparison.seeds == 0
    assert judged({0: baseline[0]}, arm).comparison.seeds == 1
    assert judged(baseline, arm | {99: 0.0}).comparison == judged(baseline, arm).comparison


def test_eight_arms_with_24_seeds_are_judged_in_well_under_a_second() -> None:
    baseline, arms = table(np.random.default_rng(0), [0.0] * 8, 24)
    began = time.perf_counter()
    judge(baseline, arms, looks_of(24, 8), 0.01, list(range(24)))
    assert time.perf_counter() - began < 2.0  # a quarter of one by itself
