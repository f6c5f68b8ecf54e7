"""Places for labels: apart, in order, within bounds, and no further from where they belong than that takes."""

import random
from itertools import pairwise

import pytest

from gptlab.drawing.apart import apart


def test_what_is_apart_stays_where_it_belongs():
    assert apart([0.1, 0.5, 0.9], 0.1, 0.0, 1.0) == pytest.approx([0.1, 0.5, 0.9])


def test_what_is_too_near_is_spread_around_its_mean():
    assert apart([0.5, 0.5, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.4, 0.5, 0.6])


def test_what_reaches_over_an_end_is_moved_within():
    assert apart([0.0, 0.0, 0.01], 0.1, 0.0, 1.0) == pytest.approx([0.0, 0.1, 0.2])
    assert apart([0.99, 1.0], 0.1, 0.0, 1.0) == pytest.approx([0.9, 1.0])


def test_of_nothing_nothing():
    assert apart([], 0.1, 0.0, 1.0) == []


@pytest.mark.parametrize("seed", range(20))
def test_any_places_are_apart_and_none_could_be_nearer(seed):
    rng = random.Random(seed)
    wanted = sorted(rng.uniform(0.3, 0.7) for _ in range(rng.randint(2, 8)))
    found = apart(wanted, 0.04, 0.0, 1.0)
    assert all(b - a >= 0.04 - 1e-12 for a, b in pairwise(found))
    assert found[0] >= 0 and found[-1] <= 1

    def distance(places):
        return sum((a - b) ** 2 for a, b in zip(places, wanted, strict=True))

    for i in range(len(found)):  # a step of any one of them breaks the distance, or makes the sum no smaller
        for step in (-1e-3, 1e-3):
            moved = [*found[:i], found[i] + step, *found[i + 1 :]]
            apart_still = all(b - a >= 0.04 for a, b in pairwise(moved))
            assert not apart_still or distance(moved) >= distance(found)
