"""The example plugin alibi: the paper's slopes, slope times distance, generation, and both engines."""

import sys

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from gptlab.training.choosing import choose
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Alibi = REGISTRY.get("position", "alibi")
slopes = sys.modules[Alibi.__module__].slopes


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("position", "alibi") == "alibi"
    assert_passes("alibi")


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        (1, [2**-8]),
        (4, [1 / 4, 1 / 16, 1 / 64, 1 / 256]),
        (8, [2.0**-i for i in range(1, 9)]),
        # what the authors' get_slopes gives: those of 4 heads, then the 1st, 3rd of 8
        (6, [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]),
        (3, [1 / 16, 1 / 256, 1 / 4]),
    ],
)
def test_the_slopes_are_the_papers(heads, expected):
    np.testing.assert_allclose(slopes(heads), expected, rtol=1e-15)


def test_the_bias_is_the_slope_times_the_distance():
    arrays = ScalarArithmetic(OpTable())
    scores = np.random.default_rng(0).normal(size=(4, 2, 5))
    positions, key_positions = np.array([3, 4]), np.arange(5)
    biased = Alibi().bias(Tensor(arrays.constant(scores), arrays), positions, key_positions)
    for head, slope in enumerate([1 / 4, 1 / 16, 1 / 64, 1 / 256]):
        for t, position in enumerate(positions):
            expected = scores[head, t] - slope * (position - key_positions)
            np.testing.assert_allclose(data_of(biased.data)[head, t], expected, rtol=1e-14)


def test_only_distances_matter():
    gpt, arrays = make_gpt(position=Alibi()), ScalarArithmetic(OpTable())
    weights = {n: Tensor(arrays.constant(a), arrays) for n, a in gpt.initial_weights(0).items()}
    context = causal_context(4)
    moved = type(context)(context.positions + 2, context.key_positions + 2, context.mask)
    one, other = (data_of(gpt.logits(weights, np.array([1, 2, 3, 4]), c).data) for c in (context, moved))
    np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(position=Alibi())
    scalar = trained(ScalarEngine(), gpt, 5)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), scalar)
    without = trained(ScalarEngine(), make_gpt(position="none"), 5)
    assert np.abs(scalar[1].loss - without[1].loss).max() > 1e-9


@pytest.mark.parametrize("engine", [XlaEngine("float64"), ScalarEngine()], ids=["xla", "scalar"])
def test_token_by_token_it_sees_what_it_sees_at_once(engine):
    gpt = make_gpt(position=Alibi(), initStd=0.5)
    session = engine.session(gpt, Adam(), OpTable())
    weights = gpt.initial_weights(0)
    state = session.init(weights, Adam().init(weights))
    settings = {"temperature": 0.0, "topK": 0, "topP": 1.0}
    tokens = session.generate(state, choose, np.array([10, 3]), np.full((1, 6), 0.5), settings)[0]
    logits = session.logits(state, np.concatenate([[10, 3], tokens[1:5]]))
    np.testing.assert_array_equal(tokens[1:], logits.argmax(-1)[1:])
