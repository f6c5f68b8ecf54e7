import numpy as np
import pytest

from gptlab.statistics.flips import DIMENSIONS, flips


@pytest.mark.parametrize("seeds", [1, 5, 12, DIMENSIONS, 16, 40])
def test_they_are_a_group_with_each_its_opposite(seeds: int) -> None:
    rows = flips(seeds)
    known = {row.tobytes() for row in rows}
    assert len(known) == len(rows) == 2 ** min(seeds, DIMENSIONS)
    assert (rows[0] == 1).all()
    drawn = np.random.default_rng(0).integers(len(rows), size=(200, 2))
    products = rows[drawn[:, 0]] * rows[drawn[:, 1]]
    assert {row.tobytes() for row in products} <= known
    assert {row.tobytes() for row in -rows} == known


def test_random_signs_would_be_no_group() -> None:
    rows = np.random.default_rng(0).choice([-1.0, 1.0], size=(2**DIMENSIONS, 40))
    assert (rows[1] * rows[2]).tobytes() not in {row.tobytes() for row in rows}


def test_each_sign_is_as_likely_as_its_opposite_and_no_two_seeds_go_together() -> None:
    rows = flips(60)
    assert not rows.sum(axis=0).any()
    assert np.array_equal(rows.T @ rows, len(rows) * np.eye(60))


def test_those_of_fewer_seeds_are_the_first_of_those_of_more() -> None:
    assert np.array_equal(flips(30)[:, :20], flips(20))
