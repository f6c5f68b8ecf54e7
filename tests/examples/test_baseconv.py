"""The example plugin baseconv: the sum of its formula, its weights, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, numbers_of
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
BaseConv = REGISTRY.get("attention", "baseconv")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "baseconv") == "baseconv"
    assert_passes("baseconv")


@pytest.mark.parametrize("width", [1, 3, None])
def test_a_gate_times_a_sum_over_the_last_positions(width):
    conv = BaseConv(width)
    weights = numbers_of(conv, make_gpt().sizes)
    x = np.random.default_rng(0).normal(size=(6, 8))
    wanted = np.zeros((6, 8))
    for t in range(6):
        for k in range(min(width or 6, t + 1)):
            wanted[t] += weights["filter"][k] * x[t - k]
        wanted[t] *= weights["gate"] @ x[t]
    np.testing.assert_allclose(attended(conv, weights, x), wanted, rtol=1e-10)


def test_its_filters_are_as_long_as_the_longest_document_unless_a_width_is_given():
    sizes = make_gpt().sizes
    assert BaseConv().weights(sizes)["filter"] == (sizes.blockSize, 8)
    assert BaseConv(width=3).weights(sizes)["filter"] == (3, 8)
    with pytest.raises(
        UserError,
        match=r"attention\.width must be at least 1: got 0\. Try model\.attention\.width=4, or null",
    ):
        BaseConv(width=0)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=BaseConv())
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    without = trained(ScalarEngine(), make_gpt(attention="none"), 3)
    assert np.abs(scalar[1].loss - without[1].loss).max() > 1e-9
