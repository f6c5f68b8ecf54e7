"""The example plugin valueresidual: whose values are mixed, in a model and in a pattern, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.attention import CausalAttention
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, numbers_of
from tests.models import SMALL, assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
ValueResidual = REGISTRY.get("attention", "valueresidual")
SIZES = make_gpt().sizes


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "valueresidual") == "valueresidual"
    assert_passes("valueresidual")


def test_the_first_layer_is_causal_attention_and_a_later_one_mixes_its_values_in():
    generator = np.random.default_rng(1)
    causal, w = CausalAttention(), [numbers_of(CausalAttention(), SIZES, seed) for seed in range(3)]
    x = generator.normal(size=(3, 5, 8))
    context = causal_context(5)
    found = [attended(ValueResidual(share=0.25), w[i], x[i], context) for i in range(3)]
    np.testing.assert_allclose(found[0], attended(causal, w[0], x[0]), rtol=1e-12)
    # By hand: causal attention whose input holds x and, beside it, the values that it is to read.
    for i in (1, 2):
        value = 0.75 * x[i] @ w[i]["value"].T + 0.25 * x[0] @ w[0]["value"].T
        mixed = {**w[i], "value": np.linalg.lstsq(x[i], value, rcond=None)[0].T}
        np.testing.assert_allclose(found[i], attended(causal, mixed, x[i]), rtol=1e-9)
        assert np.abs(found[i] - attended(causal, w[i], x[i])).max() > 0.1


def test_none_of_the_first_layer_s_values_is_causal_attention():
    ours, theirs = (make_gpt(attention=a, finalNorm=True) for a in (ValueResidual(share=0.0), "causal"))
    assert_same_run(trained(ScalarEngine(), ours, 2), trained(ScalarEngine(), theirs, 2), rtol=1e-12)


def test_in_a_pattern_the_first_layer_that_has_it_is_the_one_that_hands_on():
    sizes = {**SMALL, "nLayer": 3}
    causal, own = (("attention", CausalAttention()),), ()

    def run(*layers):
        return trained(ScalarEngine(), make_gpt(sizes, attention=ValueResidual(), layers=layers), 1)

    assert_same_run(run(causal, causal, own), run(causal, causal, causal), rtol=1e-12)
    assert np.abs(run(causal, own, own)[1].loss - run(causal, causal, causal)[1].loss).max() > 1e-9


def test_a_share_of_more_than_all_is_refused():
    with pytest.raises(
        UserError, match=r"attention\.share must be .*: got 1\.5\. Try model\.attention\.share=0\.5"
    ):
        ValueResidual(share=1.5)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=ValueResidual())
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 3)[1].loss).max() > 1e-9
