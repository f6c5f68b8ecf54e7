"""The example plugin sliding: who sees whom, in one layer and over a pattern, and both engines."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.gpt import GPT
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Sliding = REGISTRY.get("attention", "sliding")
SIZES = {"nLayer": 3, "nEmbd": 8, "nHead": 2, "headDim": None, "blockSize": 12, "vocabSize": 12}


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "sliding") == "sliding"
    assert_passes("sliding")


def farthest_seen(gpt: GPT) -> int:
    """How many positions before the last one there is a token that its logits depend on."""
    session = ScalarEngine().session(gpt, SGD(), OpTable())
    weights = {n: np.random.default_rng(0).normal(0, 0.4, shape) for n, shape in gpt.shapes.items()}
    state, tokens = session.init(weights, {}), np.arange(12)

    def last(changed: int) -> np.ndarray:
        return session.logits(state, np.where(tokens == changed, (tokens + 5) % 12, tokens))[-1]

    return 11 - min(t for t in range(12) if np.abs(last(t) - last(-1)).max() > 1e-13)


@pytest.mark.parametrize("window", [1, 2, 3, 12, 100])
def test_each_layer_sees_so_many_positions_further(window):
    far = farthest_seen(make_gpt(SIZES, attention=Sliding(window=window), position="none"))
    assert far == min(11, 3 * (window - 1))


@pytest.mark.slow
def test_in_a_pattern_the_layers_of_full_attention_see_all():
    local, full = (("attention", Sliding(window=2)),), ()
    assert farthest_seen(make_gpt(SIZES, layers=(local, local, full))) == 11
    assert farthest_seen(make_gpt(SIZES, layers=(local, local, local))) == 3


def test_a_window_of_the_whole_row_is_causal_attention():
    gpt, causal = make_gpt(attention=Sliding(window=6)), make_gpt()
    assert_same_run(trained(ScalarEngine(), gpt, 2), trained(ScalarEngine(), causal, 2), rtol=1e-13)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=Sliding(window=2), position="rope")
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(position="rope"), 3)[1].loss).max() > 1e-9


def test_a_window_of_nothing_is_refused():
    with pytest.raises(
        UserError, match=r"attention\.window must be at least 1: got 0\. Try model\.attention\.window=4"
    ):
        Sliding(window=0)
