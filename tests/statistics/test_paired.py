import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from gptlab.statistics.paired import bootstrap, holm, paired, sign_flip


def drawn(n: int, mean: float = 0.5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, n)


@pytest.mark.parametrize("n", [2, 3, 6, 24])
def test_mean_and_interval_are_scipys(n: int) -> None:
    values = drawn(n)
    found = paired(list(values))
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(values.mean())
    assert found.deviation == pytest.approx(values.std(ddof=1))
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(interval))


@pytest.mark.parametrize("values", [drawn(6), drawn(12), -drawn(9), np.array([1, 1, -1, 2, 2, 3, 3, -2.0])])
def test_the_sign_flip_p_is_scipys_exact_one(values: np.ndarray) -> None:
    exact = stats.permutation_test(
        (values,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=math.inf,
    )
    assert sign_flip(values) == pytest.approx(exact.pvalue)


def test_with_more_seeds_than_all_flips_are_counted_of_it_is_near_the_t_test() -> None:
    for seed in range(10):
        values = drawn(30, 0.3, seed)
        assert sign_flip(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_so_few_seeds_that_none_could_be_below_5_percent_have_no_p() -> None:
    assert paired([1.0] * 5).p is None
    assert paired([1.0] * 6).p == 2 / 2**6


def test_no_difference_at_all() -> None:
    found = paired([0.0] * 8)
    assert (found.mean, found.deviation, found.p, found.bootstrap) == (0.0, 0.0, 1.0, None)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


@pytest.mark.parametrize("values", [[0.1], [0.1, math.nan], [0.1, math.inf]])
def test_what_is_no_difference_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two differences at least"):
        paired(values)


@pytest.mark.slow
@pytest.mark.parametrize("ps", [[0.01], [0.04, 0.01, 0.03], [0.5, 0.5, 0.01, 0.9], [1.0, 1.0]])
def test_holms_correction_is_that_of_statsmodels(ps: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


def covered(interval: Callable[[np.ndarray], tuple[float, float]], n: int, times: int = 1500) -> float:
    """How often it holds the mean of normal differences."""
    rng, held = np.random.default_rng(n), 0
    for _ in range(times):
        low, high = interval(rng.normal(0.3, 1.0, n))
        held += low <= 0.3 <= high
    return held / times


def by_bca(values: np.ndarray) -> tuple[float, float]:
    found = bootstrap(values, resamples=1999)
    assert found is not None
    return found.low, found.high


def by_plain_bca(values: np.ndarray) -> tuple[float, float]:
    found = stats.bootstrap((values,), np.mean, n_resamples=1999, rng=np.random.default_rng(0))
    return tuple(found.confidence_interval)


def by_t(values: np.ndarray) -> tuple[float, float]:
    found = paired(list(values), with_bootstrap=False).interval
    return found.low, found.high


@pytest.mark.parametrize("n", [3, 6, 24])
def test_the_t_interval_holds_the_truth_in_95_percent(n: int) -> None:
    assert covered(by_t, n) == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 24])
def test_the_bootstrap_interval_holds_the_truth_in_95_percent(n: int) -> None:
    assert covered(by_bca, n) == pytest.approx(0.95, abs=0.015)


@pytest.mark.slow
def test_one_that_is_not_widened_for_few_seeds_does_not() -> None:
    assert covered(by_plain_bca, 6) < 0.9
