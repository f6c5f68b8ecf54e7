import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from gptlab.statistics.paired import sign_flip
from gptlab.statistics.sequential import (
    fewest_seeds,
    least_p,
    looks_of,
    sequential_p,
    sequential_p_equivalent,
)

SIZES = np.abs(np.random.default_rng(3).normal(1.0, 0.6, 9))
LOOKS = [5, 7, 9]
P = Callable[[np.ndarray], float]


def all_signs(size: int) -> np.ndarray:
    return np.array(list(product([1.0, -1.0], repeat=size)))


def excess(p: P, differences: np.ndarray) -> float:
    """By how much p is below a level more often than at that level, where each row is as likely as each other; a valid
    p exceeds no level."""
    found = np.sort([p(row) for row in differences])
    return float(np.max(np.arange(1, len(found) + 1) / len(found) - found))


def test_the_p_over_all_looks_is_below_no_level_more_often_than_that() -> None:
    flipped = all_signs(9) * SIZES
    assert excess(lambda row: sequential_p(row, LOOKS, 9), flipped) < 1e-3


def test_a_test_at_each_look_without_a_correction_is() -> None:
    flipped = all_signs(9) * SIZES
    assert excess(lambda row: min(sign_flip(row[:n]) for n in LOOKS), flipped) > 0.05


def test_two_looks_at_the_same_signs_cost_less_than_two_errors() -> None:
    # Bonferroni over the looks: what it allows of this last look is half of the error.
    differences = SIZES * np.array([1, 1, 1, -1, 1, 1, 1, 1, 1])
    halved = min(2 * sign_flip(differences[:n]) for n in (8, 9))
    assert sequential_p(differences, [8, 9], 9) < halved


@pytest.mark.slow
def test_of_a_difference_of_epsilon_equivalence_is_claimed_no_more_often_than_its_level() -> None:
    for epsilon in (0.5, -0.5):
        differences = epsilon + all_signs(9) * SIZES * 0.4
        assert excess(lambda row: sequential_p_equivalent(row, LOOKS, 9, 0.5), differences) < 1e-3
    at_zero = all_signs(9) * SIZES * 0.4
    assert np.mean([sequential_p_equivalent(row, LOOKS, 9, 0.5) <= 0.05 for row in at_zero]) > 0.5


@pytest.mark.slow
def test_beyond_the_seeds_whose_flips_are_all_counted_the_error_is_held_too() -> None:
    rng, looks, times = np.random.default_rng(0), [10, 14, 18], 1000
    ps = [sequential_p(rng.standard_t(3, 18), looks, 18) for _ in range(times)]
    for level in (0.05, 0.2):
        assert np.mean(np.array(ps) <= level) < level + 2 * math.sqrt(level * (1 - level) / times)


def test_one_look_at_the_end_is_the_sign_flip_test() -> None:
    for n in (6, 12, 20):
        differences = np.random.default_rng(n).normal(0.4, 1.0, n)
        assert sequential_p(differences, [n], n) == pytest.approx(sign_flip(differences), rel=1e-3)


def test_p_only_falls_from_look_to_look() -> None:
    looks = looks_of(24, 3)
    for seed in range(5):
        differences = np.random.default_rng(seed).normal(0.5, 1.0, 24)
        ps = [sequential_p(differences[:n], looks[: i + 1], 24) for i, n in enumerate(looks)]
        assert ps == sorted(ps, reverse=True)


def test_where_the_seeds_end_early_all_of_the_error_may_be_spent_and_what_was_decided_stays_so() -> None:
    for seed in range(5):
        differences = np.random.default_rng(seed).normal(0.8, 1.0, 12)
        as_planned, at_the_end = (sequential_p(differences, [9, 12], most) for most in (24, 12))
        if as_planned < 1.0:
            assert at_the_end == pytest.approx(as_planned / 2**3, rel=1e-3)


def test_p_does_not_depend_on_the_unit_or_the_side() -> None:
    differences = np.random.default_rng(0).normal(0.5, 1.0, 12)
    first = sequential_p(differences, [9, 12], 12)
    assert sequential_p(-1e-6 * differences, [9, 12], 12) == first


def test_a_seed_that_broke_down_counts_as_the_largest_difference() -> None:
    rest = [0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3]
    assert sequential_p([math.inf, *rest], [8], 8) == sequential_p([0.3, *rest], [8], 8) < 0.01
    assert sequential_p([-math.inf, *rest], [8], 8) == sequential_p([-0.3, *rest], [8], 8) > 0.01
    assert sequential_p([math.inf] * 8, [8], 8) == pytest.approx(2 / 2**8, rel=1e-3)
    assert sequential_p_equivalent([math.inf, *[0.0] * 7], [8], 8, 1.0) == 1.0


def test_no_difference_at_all_is_equivalent_and_not_different() -> None:
    assert sequential_p([0.0] * 8, [8], 8) == 1.0
    assert sequential_p_equivalent([0.0] * 8, [8], 8, 0.01) == pytest.approx(1 / 2**8, rel=1e-3)
    assert sequential_p_equivalent([0.0] * 8, [8], 8, 0.0) == 1.0


@pytest.mark.parametrize("arms", [1, 3, 8])
@pytest.mark.parametrize("most", [2, 5, 6, 10, 12, 24, 100])
def test_it_is_first_looked_where_an_arm_could_be_decided(most: int, arms: int) -> None:
    looks = looks_of(most, arms)
    assert looks == sorted(set(looks))
    assert looks[-1] == most
    if len(looks) > 1:
        assert arms * least_p(looks[:1], most) <= 0.05 < arms * least_p([looks[0] - 1], most)
    alike = np.full(looks[0], 0.1)
    assert sequential_p(alike, looks[:1], most) == pytest.approx(min(1.0, least_p(looks[:1], most)), rel=1e-3)


@pytest.mark.parametrize(("arms", "seeds"), [(1, 6), (2, 7), (3, 7), (8, 9)])
def test_the_fewest_seeds(arms: int, seeds: int) -> None:
    assert fewest_seeds(arms) == seeds
    assert 2 * arms / 2**seeds <= 0.05 < 2 * arms / 2 ** (seeds - 1)
