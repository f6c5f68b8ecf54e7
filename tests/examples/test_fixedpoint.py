"""The example plugin fixedpoint: what it gives are multiples of 2^-k, the nearest ones; both engines."""

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
BITS = (4, 6, 8, 10, 12, 14, 16)
NAMES = [f"fixed{kind}{bits}" for bits in BITS for kind in ("add", "mul")]
A, B = np.random.default_rng(0).normal(size=(2, 1000)) * 3


def op(name):
    return REGISTRY.get("op", name)


@pytest.mark.slow
def test_they_are_registered_by_the_plugin_of_their_name_and_pass_the_checks():
    assert [entry.name for entry in REGISTRY if entry.owner == "fixedpoint"] == NAMES
    assert_passes("fixedpoint")


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("kind", "exact"), [("add", A + B), ("mul", A * B)], ids=["add", "mul"])
def test_results_are_the_nearest_multiples(kind, exact, bits):
    result, _ = op(f"fixed{kind}{bits}")(np, A, B)
    steps = result * 2.0**bits
    np.testing.assert_array_equal(steps, np.round(steps))
    assert np.abs(result - exact).max() <= 2.0**-bits / 2
    assert np.abs(result - exact).max() > 2.0**-bits / 2.1  # not finer than asked for


def test_what_is_half_way_goes_to_the_even_one():
    for a, rounded in ((0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, 0.0), (-1.5, -2.0)):
        for xp in (FLOATS, np):
            assert op("fixedmul4")(xp, a / 16, 1.0)[0] * 16 == rounded


def test_gradients_are_those_of_the_true_sum_and_product():
    assert op("fixedadd4")(np, A, B)[1] == (1.0, 1.0)
    by_a, by_b = op("fixedmul4")(np, A, B)[1]
    assert by_a is B
    assert by_b is A
    assert not any(op(name).exact_gradient for name in NAMES)


@pytest.mark.slow
def test_both_engines_train_alike_with_both():
    gpt, ops = make_gpt(), OpTable({"add": op("fixedadd12"), "mul": op("fixedmul12")})
    scalar = trained(ScalarEngine(), gpt, 5, ops=ops)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5, ops=ops), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), gpt, 5)[1].loss).max() > 1e-6
