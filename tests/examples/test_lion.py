"""The example plugin lion: the paper's algorithm 2 in plain Python, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Lion = REGISTRY.get("optimizer", "lion")


def plain_lion(numbers, gradients, rate, beta1, beta2, decay):
    momentum = [0.0] * len(numbers)
    for grads in gradients:
        for i, g in enumerate(grads):
            blend = beta1 * momentum[i] + (1 - beta1) * g
            numbers[i] -= rate * ((blend > 0) - (blend < 0) + decay * numbers[i])
            momentum[i] = beta2 * momentum[i] + (1 - beta2) * g
    return numbers


def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("optimizer", "lion") == "lion"
    assert_passes("lion")


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_20_steps_are_those_of_plain_python(decay):
    lion, generator = Lion(beta1=0.7, beta2=0.9, weightDecay=decay), np.random.default_rng(0)
    start, gradients = generator.normal(size=(3, 4)), generator.normal(size=(20, 3, 4))
    params = {"matrix": start, "vector": start[0]}
    state = lion.init(params)
    for step, g in enumerate(gradients, start=1):
        params, state = lion.update(np, params, {"matrix": g, "vector": g[0]}, state, step, 0.05)
    plain = [start.ravel().tolist(), start[0].tolist()]
    expected = plain_lion(plain[0], gradients.reshape(20, 12).tolist(), 0.05, 0.7, 0.9, decay)
    np.testing.assert_allclose(params["matrix"].ravel(), expected, rtol=1e-12)
    # What is no matrix does not decay.
    expected = plain_lion(plain[1], gradients[:, 0].tolist(), 0.05, 0.7, 0.9, 0.0)
    np.testing.assert_allclose(params["vector"], expected, rtol=1e-12)


@pytest.mark.slow
def test_both_engines_agree_over_5_steps():
    gpt = make_gpt()
    runs = [trained(engine, gpt, 5, optimizer=Lion()) for engine in (ScalarEngine(), XlaEngine("float64"))]
    assert_same_run(*runs)


@pytest.mark.parametrize(("field", "value"), [("beta1", 1.0), ("beta2", -0.1), ("weightDecay", float("nan"))])
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(
        UserError, match=rf"^optimizer\.{field} must be .*got {value}\. Try optimizer\.{field}="
    ):
        Lion(**{field: value})
