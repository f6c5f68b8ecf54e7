"""The example plugin canon: the sum of its formula, its weights, generation, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.attention import CausalAttention
from gptlab.plugins.loading import load_plugins
from tests.attended import attended
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Canon = REGISTRY.get("attention", "canon")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "canon") == "canon"
    assert_passes("canon")


@pytest.mark.parametrize("width", [1, 2, 4])
def test_attention_gets_the_sum_over_the_last_positions_added_to_its_input(width):
    sizes = make_gpt().sizes
    generator = np.random.default_rng(0)
    weights = {n: generator.normal(size=shape) for n, shape in Canon(width=width).weights(sizes).items()}
    x = generator.normal(size=(6, 8))
    mixed = x.copy()
    for t in range(6):
        for k in range(min(width, t + 1)):
            mixed[t] += weights["canon"][k] * x[t - k]
    plain = {name: array for name, array in weights.items() if name != "canon"}
    ours, theirs = attended(Canon(width=width), weights, x), attended(CausalAttention(), plain, mixed)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert np.abs(ours - attended(CausalAttention(), plain, x)).max() > 1e-3


def test_it_has_a_row_of_weights_for_each_position_that_it_sums():
    sizes = make_gpt().sizes
    assert Canon(width=3).weights(sizes)["canon"] == (3, 8)
    assert list(Canon().weights(sizes))[1:] == list(CausalAttention().weights(sizes))
    with pytest.raises(
        UserError, match=r"attention\.width must be at least 1: got 0\. Try model\.attention\.width=4"
    ):
        Canon(width=0)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=Canon())
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 3)[1].loss).max() > 1e-9
