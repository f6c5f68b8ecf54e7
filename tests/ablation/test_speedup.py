import math

import pytest

from gptlab.ablation.result import Costs, Curve, SeedRun, Setting, Speedup
from gptlab.ablation.speedup import speedup_of

FALLING: Curve = [(0, 4.0), (100, 3.0), (200, 2.0), (300, 1.0)]
NEVER = Speedup(None, None, None)


def setting(*curves: Curve, flops: float = 3e6, seconds: float = 3.0, lost: bool = False) -> Setting:
    runs = [
        SeedRun(
            seed,
            "FAILED" if lost else "FINISHED",
            None if lost else curve[-1][1],
            f"runs/{seed}",
            curve=curve,
        )
        for seed, curve in enumerate(curves)
    ]
    return Setting({}, runs, Costs(1000, 300, flops, seconds))


def test_an_arm_equal_to_the_baseline_is_as_fast() -> None:
    assert speedup_of(setting(FALLING), setting(FALLING)) == Speedup(1.0, 1.0, 1.0)


def test_also_where_the_baseline_was_there_before_its_end() -> None:
    rising: Curve = [(0, 4.0), (100, 1.0), (200, 0.5), (300, 1.0)]
    assert speedup_of(setting(rising), setting(rising)).steps == 1.0


def test_twice_as_fast_in_steps_at_twice_the_price_of_a_step() -> None:
    arm: Curve = [(0, 4.0), (150, 1.0), (300, 0.0)]
    found = speedup_of(setting(FALLING), setting(arm, flops=6e6, seconds=1.5))
    assert (found.steps, found.flops, found.seconds) == (pytest.approx(2), pytest.approx(1), pytest.approx(4))


def test_between_evaluations_a_curve_is_as_round_as_curves_are() -> None:
    def decaying(faster: float) -> Curve:
        return [(step, 2 + math.exp(-step * faster / 300)) for step in range(0, 1001, 100)]

    found = speedup_of(setting(decaying(1.0)), setting(decaying(1.07))).steps
    assert found == pytest.approx(1.07, abs=0.002)  # by straight lines 1.06


def test_the_curves_are_means_over_the_seeds_of_both() -> None:
    slow: Curve = [(0, 4.0), (100, 4.0), (200, 4.0), (300, 3.0)]
    fast: Curve = [(0, 4.0), (100, 2.0), (200, 0.0), (300, -1.0)]
    assert speedup_of(setting(FALLING, FALLING), setting(fast, slow)).steps == pytest.approx(1.0)
    # The arm has no second seed: the baseline's is left out, too.
    assert speedup_of(setting(FALLING, slow), setting(FALLING)).steps == pytest.approx(1.0)


def test_an_arm_that_is_there_at_its_first_evaluation_is_at_least_so_much_faster() -> None:
    assert speedup_of(setting(FALLING), setting([(100, 0.5), (300, 0.1)])).steps == pytest.approx(3)


def test_none_where_it_is_never_there_or_before_the_first_step_or_broke_down() -> None:
    assert speedup_of(setting(FALLING), setting([(0, 4.0), (300, 1.1)])) == NEVER
    assert speedup_of(setting(FALLING), setting([(0, 0.5), (300, 0.1)])) == NEVER
    assert speedup_of(setting(FALLING), setting(FALLING, lost=True)) == NEVER
    assert speedup_of(setting(FALLING), setting()) == NEVER


def test_costs_that_are_not_known_are_not_divided_by() -> None:
    assert speedup_of(setting(FALLING, flops=0.0), setting(FALLING)) == Speedup(1.0, None, 1.0)
