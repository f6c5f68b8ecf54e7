"""The example plugin squaredrelu: its values and slopes, its swapped relu, and both engines."""

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
SquaredRelu = REGISTRY.get("activation", "squaredrelu")
X = np.array([-2.0, -0.5, 0.0, 0.5, 3.0])


@gptlab.op(samples=[(0.5,)])
def shiftedrelu(xp, a):
    """relu(a + 1)."""
    return xp.maximum(a + 1.0, 0.0), (xp.where(a > -1, 1.0, 0.0),)


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("activation", "squaredrelu") == "squaredrelu"
    assert_passes("squaredrelu")


def test_its_values_and_slopes():
    arrays, leaves = ScalarArithmetic(OpTable()), as_values(X)
    y = SquaredRelu()(Tensor(leaves, arrays))
    np.testing.assert_array_equal(data_of(y.data), [0, 0, 0, 0.25, 9])
    y.sum().data[()].backward()
    assert [leaf.grad for leaf in leaves] == [0, 0, 0, 1, 6]


def test_it_squares_the_relu_that_the_model_has():
    arrays = ScalarArithmetic(OpTable({"relu": shiftedrelu}))
    y = SquaredRelu()(Tensor(arrays.constant(X), arrays))
    np.testing.assert_array_equal(data_of(y.data), np.maximum(X + 1, 0) ** 2)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(activation=SquaredRelu())
    scalar = trained(ScalarEngine(), gpt, 5)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 5)[1].loss).max() > 1e-6
