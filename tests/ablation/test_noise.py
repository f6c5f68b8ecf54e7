import math

import numpy as np
import pytest

from gptlab.ablation.noise import noise_of
from gptlab.ablation.report.words import noise_line
from gptlab.statistics.power import detectable, seeds_needed

LOSSES = [1.98, 2.0, 2.02, 2.04]


def test_before_an_arm_has_run_a_difference_is_taken_to_deviate_sqrt_2_times_as_much() -> None:
    deviation = float(np.std(LOSSES, ddof=1))
    found = noise_of(LOSSES, 12)
    assert (found.deviation, found.seeds, found.paired) == (pytest.approx(deviation), 12, False)
    assert found.detectable == pytest.approx(detectable(12, math.sqrt(2) * deviation))
    assert found.needed == seeds_needed(0.01, math.sqrt(2) * deviation)
    assert "if pairing gained nothing" in noise_line(found)


def test_once_arms_have_run_their_differences_tell_pooled_over_them() -> None:
    differences = [[0.01, 0.02, 0.03], [-0.1, -0.1, -0.1, -0.1]]
    found = noise_of(LOSSES, 12, differences)
    assert found.paired
    assert found.deviation == pytest.approx(math.sqrt((2 * 0.01**2 + 3 * 0.0) / 5))
    assert found.detectable == pytest.approx(detectable(12, found.deviation))
    assert noise_line(found) == (
        "noise: differences of paired runs vary by 0.0063 nats over seeds (standard deviation); 12 seeds can detect a "
        "difference of 0.0056 with 80% power; 0.01 nats would need 6 seeds."
    )


def test_more_arms_need_more_seeds() -> None:
    assert noise_of(LOSSES, 12, arms=8).needed > noise_of(LOSSES, 12).needed


def test_a_noise_that_no_number_of_seeds_beats_says_so() -> None:
    assert "more than 10,000" in noise_line(noise_of([1.0, 3.0], 12))


def test_no_noise_at_all() -> None:
    found = noise_of([2.0, 2.0], 12)
    assert (found.deviation, found.detectable, found.needed) == (0.0, 0.0, 6)


@pytest.mark.parametrize("losses", [[], [2.0], [2.0, math.nan]])
def test_it_takes_two_losses(losses: list[float]) -> None:
    with pytest.raises(ValueError, match="two runs at least"):
        noise_of(losses, 12)
