"""The smoothed training loss: a mean by tokens over about the last tenth of the steps, the same whoever asks."""

import math
import random

import numpy as np
import pytest
from test_training import make_training

from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.smoothing import SMOOTHED, SmoothedLoss, steps_averaged, with_smoothed

DRAWN = random.Random(0)
LOSSES = [5 * 0.99**step + DRAWN.gauss(0, 0.3) for step in range(400)]
TOKENS = [DRAWN.randint(1, 9) for _ in LOSSES]


def weights_after(step: int) -> np.ndarray:
    """Of each step up to `step`, as the recursion unrolls."""
    shares = [20 / (s + 19) for s in range(1, step + 1)]
    return np.array(
        [share * math.prod(1 - later for later in shares[i + 1 :]) for i, share in enumerate(shares)]
    )


def test_it_is_a_weighted_mean_of_all_nats_over_that_of_all_tokens():
    values = SmoothedLoss().add(0, LOSSES, TOKENS)
    assert values[0] == pytest.approx(LOSSES[0])
    for step in (2, 7, 100, 400):
        weights = weights_after(step)
        nats, tokens = np.array(LOSSES[:step]) * TOKENS[:step], np.array(TOKENS[:step])
        assert values[step - 1] == pytest.approx((weights * nats).sum() / (weights * tokens).sum())


def test_it_is_as_old_and_as_noisy_as_a_mean_of_the_last_tenth():
    weights = weights_after(1000)
    assert weights.sum() == pytest.approx(1)
    assert (weights * np.arange(999, -1, -1)).sum() == pytest.approx(50, rel=0.1)
    assert 1 / (weights**2).sum() == pytest.approx(steps_averaged(1000), rel=0.1) == 100


@pytest.mark.parametrize("cut", [1, 3, 137, 399])
def test_where_it_is_interrupted_changes_no_bit(cut):
    whole = SmoothedLoss().add(0, LOSSES, TOKENS)
    first = SmoothedLoss()
    before = first.add(0, LOSSES[:cut], TOKENS[:cut])
    second = SmoothedLoss(first.nats, first.tokens)
    assert before + second.add(cut, LOSSES[cut:], TOKENS[cut:]) == whole


def test_what_is_no_number_leaves_it_as_it_is():
    smoothed = SmoothedLoss()
    assert math.isnan(smoothed.value)
    assert math.isnan(smoothed.add(0, [math.nan], [3])[0])
    assert smoothed.add(1, [2.0, math.inf, math.nan, 1e308], [3, 3, 3, 30]) == pytest.approx([2.0] * 4)


def test_a_run_that_was_logged_without_it_gets_it_of_its_rows():
    rows = [(0, {"val/loss": 3.0}), *((10 * i, {"train/loss": loss}) for i, loss in enumerate(LOSSES[:9], 1))]
    found = with_smoothed(rows)
    assert [step for step, _ in found] == [step for step, _ in rows] and found[0] == rows[0]
    expected = SmoothedLoss().add(0, LOSSES[:9], [1] * 9)
    assert [row[SMOOTHED] for _, row in found[1:]] == expected
    assert with_smoothed(found) is found


@pytest.mark.parametrize("engine", [XlaEngine("float64"), ScalarEngine()], ids=["xla", "scalar"])
def test_a_run_smooths_all_of_its_steps_whichever_are_logged(engine):
    rows = {}
    for every in (1, 5):
        training, logged = make_training(engine, numSteps=12, logEvery=every, batchSize=2)
        training.run()
        rows[every] = dict(logged)
    each = rows[1]
    assert [row["train/tokens"] for row in each.values()] == [8] * 12
    values = SmoothedLoss().add(0, [r["train/loss"] for r in each.values()], [8] * 12)
    assert [row[SMOOTHED] for row in each.values()] == values
    assert {step: row[SMOOTHED] for step, row in rows[5].items()} == {
        s: values[s - 1] for s in (1, 5, 10, 12)
    }
