"""Schedules: the exact shape of each, and what holds for every registered one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlab.errors import UserError
from gptlab.optim.schedules import Constant, Cosine, Linear
from gptlab.plugins.loading import load_plugins
from gptlab.training.loop import Plan

REGISTRY = load_plugins(discover=False).registry
NAMES = REGISTRY.names("schedule")


@given(st.integers(1, 10_000), st.floats(1e-6, 10.0), st.data())
def test_linear_is_exactly_what_the_design_says(numSteps, learningRate, data):
    step = data.draw(st.integers(0, numSteps - 1))
    plan = Plan(numSteps, learningRate, Linear(), logEvery=1, evalEvery=0)
    assert plan.rates(step, 1)[0] == learningRate * (1 - step / numSteps)


def test_rates_of_a_chunk_are_those_of_its_steps():
    plan = Plan(50, 0.3, Linear(warmup=7), logEvery=1, evalEvery=0)
    np.testing.assert_array_equal(plan.rates(5, 20), np.concatenate([plan.rates(s, 1) for s in range(5, 25)]))


def test_constant_is_1():
    assert {Constant()(step, 100) for step in range(100)} == {1.0}


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine_falls_from_1_to_final_and_is_half_way_half_way(final):
    schedule = Cosine(final=final)
    factors = [schedule(step, 100) for step in range(101)]
    assert factors[0] == 1.0
    assert factors[100] == pytest.approx(final, abs=1e-15)
    assert factors[50] == pytest.approx((1 + final) / 2)
    assert factors[25] == pytest.approx(final + (1 - final) * (1 + math.sqrt(0.5)) / 2)
    assert factors == sorted(factors, reverse=True)


@pytest.mark.parametrize("name", NAMES)
@given(numSteps=st.integers(1, 10_000), warmup=st.integers(0, 12_000), data=st.data())
def test_every_factor_is_a_number_from_0_to_1(name, numSteps, warmup, data):
    step = data.draw(st.integers(0, numSteps - 1))
    factor = REGISTRY.get("schedule", name)(warmup=warmup)(step, numSteps)
    assert isinstance(factor, float) and 0 <= factor <= 1


@pytest.mark.parametrize("name", NAMES)
def test_no_step_is_taken_at_a_rate_of_0(name):
    for warmup in (0, 1, 10, 99, 100):
        factors = [REGISTRY.get("schedule", name)(warmup=warmup)(step, 100) for step in range(100)]
        assert min(factors) > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", [1, 2, 10, 60])
def test_warmup_climbs_in_a_straight_line_and_joins_without_a_jump(name, warmup):
    cls = REGISTRY.get("schedule", name)
    schedule = cls(warmup=warmup)
    assert [schedule(step, 60) for step in range(warmup)] == [(s + 1) / warmup for s in range(warmup)]
    assert schedule(warmup - 1, 60) == 1
    # What follows is the schedule itself, over the steps that are left.
    left = [schedule(step, 60) for step in range(warmup, 60)]
    assert left == [cls()(step, 60 - warmup) for step in range(60 - warmup)]
    assert not left or left[0] == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_negative_warmup_is_refused(name):
    with pytest.raises(UserError, match=r"^schedule\.warmup must be at least 0 steps: got -1"):
        REGISTRY.get("schedule", name)(warmup=-1)


@pytest.mark.parametrize("final", [-0.1, 1.1, math.nan], ids=str)
def test_a_final_factor_out_of_range_is_refused(final):
    with pytest.raises(UserError, match=r"^schedule\.final must be from 0 to 1: got "):
        Cosine(final=final)
