"""The example plugin logmul: Mitchell's bounds, his exact cases, his gradient, and both engines."""

import math

import jax.numpy as jnp
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
logmul = REGISTRY.get("op", "logmul")

GENERATOR = np.random.default_rng(0)
A, B = (GENERATOR.choice([-1, 1], 4000) * 2 ** GENERATOR.uniform(-20, 20, 4000) for _ in range(2))


def by_logarithms(a: float, b: float) -> float:
    """Mitchell's algorithm as he tells it: characteristic and fraction, one addition, read back."""

    def logarithm(x: float) -> float:
        exponent = math.frexp(abs(x))[1] - 1
        return exponent + (abs(x) / 2.0**exponent - 1)

    total = logarithm(a) + logarithm(b)
    whole = math.floor(total)
    return math.copysign(2.0**whole * (1 + total - whole), a * b)


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert [entry.name for entry in REGISTRY if entry.owner == "logmul"] == ["logmul", "logmulst"]
    assert_passes("logmul")


def test_it_is_mitchells_algorithm():
    np.testing.assert_allclose(logmul(np, A, B)[0], [*map(by_logarithms, A, B)], rtol=1e-9)


def test_it_is_too_small_by_at_most_a_ninth_and_by_that_at_one_and_a_half():
    error = 1 - logmul(np, A, B)[0] / (A * B)
    assert error.min() >= -1e-15
    assert 0.11 < error.max() <= 1 / 9
    assert 1 - logmul(FLOATS, 1.5, 12.0)[0] / 18 == pytest.approx(1 / 9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_two_are_multiplied_exactly(dtype):
    powers = np.ldexp(np.where(np.arange(41) % 2, -1.0, 1.0), np.arange(-20, 21)).astype(dtype)
    numbers = A[:100].astype(dtype)
    for xp, make in ((np, np.asarray), (jnp, lambda x: jnp.asarray(x, dtype=dtype))):
        if xp is jnp and dtype == "float64":
            continue  # jax has float64 only where it is enabled; the checks enable it
        left, _ = logmul(xp, make(powers[:, None]), make(numbers))
        right, _ = logmul(xp, make(numbers), make(powers[:, None]))
        np.testing.assert_array_equal(left, powers[:, None] * numbers)
        np.testing.assert_array_equal(right, powers[:, None] * numbers)


def test_just_below_a_power_of_two_the_exponent_is_that_of_the_number():
    for exponent in (-3, 0, 1, 29):
        below = np.nextafter(2.0**exponent, 0.0)
        assert logmul(FLOATS, float(below), 3.0)[1] == (4.0, 2.0**exponent)  # both fractions carry
        assert logmul(FLOATS, float(below), 1.0)[1] == (1.0, 2.0 ** (exponent - 1))


@pytest.mark.parametrize("xp", [FLOATS, np, jnp], ids=["floats", "numpy", "jax"])
def test_zero_times_anything_is_zero_and_its_gradient_is_finite(xp):
    for a, b in ((0.0, 3.0), (-3.0, 0.0), (0.0, 0.0)):
        value, gradients = logmul(xp, xp.asarray(a), xp.asarray(b)) if xp is not FLOATS else logmul(xp, a, b)
        assert value == 0.0
        assert [float(g) for g in gradients] == [{3.0: 2.0}.get(b, 0.0), {-3.0: -2.0}.get(a, 0.0)]


def test_the_gradients_are_powers_of_two_with_the_sign_of_the_other():
    by_a, by_b = logmul(np, A, B)[1]
    assert set(np.abs(np.frexp(np.concatenate([by_a, by_b]))[0])) == {0.5}
    np.testing.assert_array_equal(np.sign(by_a), np.sign(B))
    np.testing.assert_array_equal(np.sign(by_b), np.sign(A))


def test_straight_through_it_is_the_same_product_with_the_true_gradients():
    value, (by_a, by_b) = REGISTRY.get("op", "logmulst")(np, A, B)
    np.testing.assert_array_equal(value, logmul(np, A, B)[0])
    assert by_a is B
    assert by_b is A


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logmul", "logmulst"])
def test_both_engines_train_alike_with_it(name):
    gpt, ops = make_gpt(), OpTable({"mul": REGISTRY.get("op", name)})
    scalar = trained(ScalarEngine(), gpt, 5, ops=ops)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5, ops=ops), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), gpt, 5)[1].loss).max() > 1e-4
