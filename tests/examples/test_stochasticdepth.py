"""The example plugin stochasticdepth: which documents skip a branch, how often, and nothing in evaluation."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.engines.context import Context
from gptlab.engines.draws import Draws, key_of, threefry
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
StochasticDepth = REGISTRY.get("block", "stochasticdepth")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("block", "stochasticdepth") == "stochasticdepth"
    assert_passes("stochasticdepth")


@pytest.mark.parametrize(("layer", "rate"), [(0, 0.2), (1, 0.4)])
def test_a_document_skips_a_branch_at_a_rate_that_grows_with_the_depth(layer, rate):
    gpt, documents = make_gpt(block=StochasticDepth(rate=0.4)), np.repeat(np.arange(2000), 2)
    positions = np.tile(np.arange(2), 2000)
    draws = Draws(np, threefry, key_of(0), 1, documents)
    context = Context(positions, positions, np.ones((1, 1), dtype=bool), layer=layer, draws=draws)
    added = Tensor(np.ones((4000, 1)), ScalarArithmetic(OpTable()))
    kept = gpt.block.kept(added, gpt, context).data.astype(float)[:, 0]
    np.testing.assert_array_equal(kept[::2], kept[1::2])  # a document's positions go together
    np.testing.assert_allclose(np.unique(kept), [0, 1 / (1 - rate)])
    assert (kept == 0).mean() == pytest.approx(rate, abs=0.04)
    assert gpt.block.kept(added, gpt, Context(positions, positions, None, layer=layer)) is added


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(block=StochasticDepth(rate=0.5))
    scalar = trained(ScalarEngine(), gpt, 6)
    assert_same_run(trained(XlaEngine("float64"), gpt, 6), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 6)[1].loss).max() > 1e-6


def test_a_rate_is_below_1():
    with pytest.raises(UserError, match=r"model\.block\.rate must be at least 0 and below 1"):
        StochasticDepth(rate=1.0)
