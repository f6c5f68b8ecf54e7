"""The schedule plateau: each rate is that of the rule that it is named after, step by step."""

import math
import random

import pytest

from gptlab.checks import assert_passes
from gptlab.errors import UserError
from gptlab.optim.plateau import Plateau
from gptlab.training.loop import Plan


class ReduceOnPlateau:
    """PyTorch's rule as its documentation has it, mode min, threshold_mode rel: one object that remembers."""

    def __init__(self, factor, patience, threshold, cooldown, least):
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.cooldown, self.least = cooldown, least
        self.rate, self.best, self.bad, self.counter = 1.0, math.inf, 0, 0

    def step(self, value):
        if value < self.best * (1 - self.threshold):
            self.best = value
            self.bad = 0
        else:
            self.bad += 1
        if self.counter > 0:
            self.counter -= 1
            self.bad = 0
        if self.bad > self.patience:
            self.rate = max(self.rate * self.factor, self.least)
            self.counter = self.cooldown
            self.bad = 0


def evaluated(losses, name="val/loss"):
    return [(10 * (i + 1), {name: loss}) for i, loss in enumerate(losses)]


@pytest.mark.parametrize("seed", range(30))
def test_each_factor_is_that_of_the_rule(seed):
    draw = random.Random(seed)
    fields = {
        "factor": draw.choice([0.1, 0.5, 0.9]),
        "patience": draw.randrange(4),
        "threshold": draw.choice([0.0, 1e-4, 0.1]),
        "cooldown": draw.randrange(3),
        "least": draw.choice([0.0, 0.2]),
    }
    losses = [draw.choice([1.0, 1.5, 2.0, 3.0, math.inf]) * (1 - i / 100) for i in range(40)]
    rule, schedule, factors = ReduceOnPlateau(**fields), Plateau(**fields), []
    for i, loss in enumerate(losses):
        rule.step(loss)
        factors.append(schedule.look(evaluated(losses[: i + 1])))
        assert factors[-1] == rule.rate
    assert factors[-1] < 1


def test_a_rate_is_that_of_warm_up_and_of_what_was_evaluated_before():
    plan = Plan(100, 0.4, Plateau(warmup=4, patience=0, factor=0.5), logEvery=1, evalEvery=10)
    assert plan.rates(0, 6).tolist() == [0.1, 0.2, 0.4 * 0.75, 0.4, 0.4, 0.4]
    assert plan.rates(20, 2, evaluated([3.0, 3.0])).tolist() == [0.2, 0.2]


def test_another_metric_and_one_that_is_not_logged():
    rows = evaluated([1.0, 1.0], "train/smoothedLoss")
    assert Plateau(metric="train/smoothedLoss", patience=0).look(rows) == 0.5
    with pytest.raises(
        UserError, match=r"got val/loss, which step 10 does not have\. Try one of train/smoothedLoss\.$"
    ):
        Plateau().look(rows)


@pytest.mark.parametrize(
    "fields",
    [{"factor": 1.0}, {"factor": 0.0}, {"patience": -1}, {"threshold": 1.0}, {"least": 2.0}],
    ids=str,
)
def test_fields_out_of_range_are_refused(fields):
    with pytest.raises(UserError, match=rf"^schedule\.{next(iter(fields))} must be "):
        Plateau(**fields)


def test_it_passes_the_checks():
    assert_passes("plateau")
