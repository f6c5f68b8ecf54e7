"""What the verdicts of whole tables get wrong, and find, in simulated ablations: 1,000 of each kind."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from gptlab.ablation.judging import Decision, Pairs, decision
from gptlab.statistics.paired import sign_flip
from gptlab.statistics.sequential import looks_of
from tests.ablation_tables import NOISE, Judge, table, verdicts

TIMES, SEEDS, ARMS = 1000, 12, 3
LOOKS = looks_of(SEEDS, ARMS)
NOMINAL = 0.05
SLACK = 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / TIMES)  # of what is counted in so many


def uncorrected(pairs: Sequence[Pairs]) -> list[Decision]:
    """A test of its own for each arm, at each look."""
    return [decision(one, sign_flip(one.differences), 1.0, NOMINAL) for one in pairs]


def claiming(
    differences: Sequence[float], claims: set[str], epsilon: float = 0.0, judge: Judge | None = None
) -> float:
    """The share of ablations in which any arm is called so."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(TIMES):
        called, _ = verdicts(*table(rng, differences, SEEDS), LOOKS, epsilon, judge)
        found += bool(claims & set(called))
    return found / TIMES


def test_the_seeds_come_in_more_than_one_look() -> None:
    assert len(LOOKS) > 1


@pytest.mark.slow
def test_of_arms_without_a_difference_any_is_better_or_worse_in_5_percent_at_most() -> None:
    assert claiming([0.0] * ARMS, {"better", "worse"}) <= NOMINAL + SLACK


def test_a_test_for_each_arm_and_look_would_be_wrong_more_often() -> None:
    assert claiming([0.0] * ARMS, {"better", "worse"}, judge=uncorrected) > 2 * NOMINAL


@pytest.mark.slow
def test_arms_that_do_differ_do_not_make_the_others_wrong() -> None:
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(TIMES):
        called, _ = verdicts(*table(rng, [-3 * NOISE, 0.0, 0.0], SEEDS), LOOKS)
        wrong += bool({"better", "worse"} & set(called[1:]))
    assert wrong / TIMES <= NOMINAL + SLACK


@pytest.mark.slow
def test_of_arms_that_differ_by_epsilon_any_is_equivalent_in_5_percent_at_most() -> None:
    assert claiming([NOISE, -NOISE, NOISE], {"equivalent"}, epsilon=NOISE) <= NOMINAL + SLACK
    assert claiming([0.0] * ARMS, {"equivalent"}, epsilon=2 * NOISE) > 0.9


@pytest.mark.slow
def test_a_difference_of_two_deviations_is_found_with_seeds_to_spare() -> None:
    rng, found, runs = np.random.default_rng(0), 0, 0
    for _ in range(TIMES):
        called, trained = verdicts(*table(rng, [-2 * NOISE] * ARMS, SEEDS), LOOKS)
        found += called.count("better")
        runs += trained
    assert found / TIMES / ARMS > 0.95
    assert runs / TIMES / ARMS < 0.85 * SEEDS
