"""The example plugin padeexp: how near it is to exp, what it does far away, and both engines."""

import numpy as np
import pytest

from gptlab.autograd.numbers import FLOATS
from gptlab.autograd.ops import OpTable
from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
padeexp = REGISTRY.get("op", "padeexp")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("op", "padeexp") == "padeexp"
    assert_passes("padeexp")


@pytest.mark.parametrize(("lowest", "bound"), [(-5, 0.0012), (-8, 0.012)])
def test_the_relative_error_is_what_its_docstring_says(lowest, bound):
    x = np.linspace(lowest, 0, 20001)
    error = np.abs(padeexp(np, x)[0] / np.exp(x) - 1).max()
    assert 0.9 * bound < error < bound


def test_at_0_it_is_1_with_slope_1():
    value, (slope,) = padeexp(FLOATS, 0.0)
    assert value == 1
    assert slope == pytest.approx(1, rel=1e-15)


def test_it_never_falls_stays_above_0_and_ends_flat():
    x = np.linspace(-200, 200, 40001)
    value, (slope,) = padeexp(np, x)
    assert (value > 0).all()
    # Where it is flat, rounding may move the last bit.
    assert (value[1:] >= value[:-1] * (1 - 1e-15)).all()
    assert (slope >= 0).all()
    outside = np.abs(x) > 27.8
    assert (slope[outside] == 0).all()
    assert 1e-10 < value[0] < 1e-9
    for far in (-1e30, 1e30):
        assert np.isfinite(padeexp(FLOATS, far)[0])


def test_softmax_of_it_is_softmax_within_a_thousandth():
    x = np.random.default_rng(0).normal(size=(100, 8))
    x -= x.max(-1, keepdims=True)
    shares, true = (e / e.sum(-1, keepdims=True) for e in (padeexp(np, x)[0], np.exp(x)))
    np.testing.assert_allclose(shares, true, atol=1e-3)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt, ops = make_gpt(initStd=0.5), OpTable({"exp": padeexp})
    scalar = trained(ScalarEngine(), gpt, 5, ops=ops)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5, ops=ops), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), gpt, 5)[1].loss).max() > 1e-6
