from collections.abc import Callable

import numpy as np
import pytest

from gptlab.ablation.result import AtSize, Comparison
from gptlab.ablation.scaling import scaling_of

UNDECIDED = Comparison(0, None, None, None, None, None, "undecided")
SIZES = (1_000, 4_000, 16_000, 64_000)
Law = Callable[[float], float]


def at_sizes(baseline: Law, arm: Law, sizes: tuple[int, ...] = SIZES) -> list[AtSize]:
    return [AtSize([f"size={n}"], n, baseline(n), arm(n), UNDECIDED) for n in sizes]


def slower(n: float) -> float:
    return 30 * n**-0.40 + 1.5


def faster(n: float) -> float:
    return 25 * n**-0.42 + 1.5


def test_two_laws_above_one_floor_are_found_again() -> None:
    found = scaling_of(at_sizes(slower, faster))
    assert found.refusal == ""
    assert found.baseline is not None and found.arm is not None
    assert (found.baseline.a, found.baseline.b, found.baseline.c) == pytest.approx((30, 0.40, 1.5), rel=1e-3)
    assert (found.arm.a, found.arm.b, found.arm.c) == pytest.approx((25, 0.42, 1.5), rel=1e-3)


def test_the_floor_is_shared_though_the_losses_are_noisy() -> None:
    noise = iter(np.random.default_rng(0).normal(0.0, 0.005, 8))
    found = scaling_of(at_sizes(lambda n: slower(n) + next(noise), lambda n: faster(n) + next(noise)))
    assert found.baseline is not None and found.arm is not None
    assert found.baseline.c == found.arm.c == pytest.approx(1.5, abs=0.1)


def test_without_a_floor_in_them_both_are_straight() -> None:
    found = scaling_of(at_sizes(lambda n: 9 * n**-0.1, lambda n: 8 * n**-0.1))
    assert found.baseline is not None and found.arm is not None
    assert (found.baseline.c, found.arm.c) == (0.0, 0.0)
    assert (found.arm.a, found.arm.b) == pytest.approx((8, 0.1), rel=1e-3)


def test_fewer_than_four_sizes_are_refused() -> None:
    found = scaling_of(at_sizes(slower, faster, SIZES[:3]))
    assert (found.baseline, found.arm) == (None, None)
    assert found.refusal == "No extrapolation: 3 sizes with a loss of both, and a law needs 4."


def test_a_size_without_a_loss_does_not_count() -> None:
    lost = AtSize(["size=256000"], 256_000, 1.6, None, UNDECIDED)
    assert scaling_of([*at_sizes(slower, faster, SIZES[:3]), lost]).refusal.startswith(
        "No extrapolation: 3 sizes"
    )


def test_a_sign_that_changes_is_refused_and_the_laws_are_there() -> None:
    found = scaling_of(at_sizes(slower, lambda n: slower(n) * (1 + 0.01 * (np.log(n) - 9))))
    assert found.baseline is not None
    assert found.refusal.startswith(
        "No extrapolation: the arm is better at 1,000, 4,000 parameters and worse at 16,000, 64,000"
    )


def test_a_loss_that_does_not_fall_has_no_law() -> None:
    found = scaling_of(at_sizes(slower, lambda n: 1 + 1e-6 * n))
    assert (found.baseline, found.arm) == (None, None)
    assert "does not fall" in found.refusal
