import numpy as np
import pytest
from scipy import stats

from gptlab.statistics.power import MOST, detectable, power_of, seeds_needed


@pytest.mark.parametrize("n", [2, 6, 12])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 8])
@pytest.mark.parametrize("effect", [0.01, 0.3, 0.8])
def test_power_is_that_of_statsmodels(n: int, alpha: float, effect: float) -> None:
    from statsmodels.stats.power import TTestPower

    assert power_of(n, effect, alpha) == pytest.approx(TTestPower().power(effect, n, alpha), abs=1e-6)


def test_power_is_how_often_a_t_test_sees_the_difference() -> None:
    values = np.random.default_rng(0).normal(0.8, 1.0, (20_000, 12))
    seen = float(np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05))
    assert power_of(12, 0.8) == pytest.approx(seen, abs=0.01)
    assert power_of(11, 0.8) < seen - 0.02, "a wrong number of seeds is seen"


@pytest.mark.parametrize("n", [2, 6, 12, 100])
def test_what_is_detectable_is_seen_with_that_power(n: int) -> None:
    assert power_of(n, detectable(n, 0.02) / 0.02) == pytest.approx(0.8)


@pytest.mark.parametrize("effect", [0.1, 0.5, 0.9])
def test_the_seeds_that_are_needed_are_the_fewest(effect: float) -> None:
    n = seeds_needed(-effect * 0.02, 0.02)
    assert power_of(n, effect) >= 0.8 > power_of(n - 1, effect)


def test_as_many_are_needed_as_the_sign_flip_test_can_tell_anything_with() -> None:
    assert seeds_needed(1.0, 0.001) == 6
    assert seeds_needed(1.0, 0.0) == 6
    assert seeds_needed(1.0, 0.001, alpha=0.05 / 8) == 9


def test_no_difference_is_never_seen() -> None:
    assert seeds_needed(0.0, 0.02) == seeds_needed(0.0, 0.0) == seeds_needed(1e-9, 0.02) == MOST
