"""The example plugin valueembedding: its formula by hand, its weights, and both engines."""

from dataclasses import replace

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.attention import CausalAttention
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, causal_shares, numbers_of
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
ValueEmbedding = REGISTRY.get("attention", "valueembedding")
SIZES = make_gpt().sizes
TOKENS = np.array([3, 10, 3, 0, 7])


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "valueembedding") == "valueembedding"
    assert_passes("valueembedding")


@pytest.mark.parametrize("shared", [2, 1])
def test_to_the_values_comes_what_the_table_has_of_each_token(shared):
    attention = ValueEmbedding(nKVHead=shared)
    w = numbers_of(attention, SIZES)
    x = np.random.default_rng(1).normal(size=(5, 8))
    query, key, value = ((x @ w[n].T).reshape(5, -1, 4) for n in ("query", "key", "value"))
    value = w["parts"][0] * value + w["parts"][1] * w["table"][TOKENS].reshape(5, -1, 4)
    key, value = (np.repeat(y, 2 // shared, axis=1) for y in (key, value))
    shares = causal_shares(np.einsum("thd,shd->hts", query, key) / 2)
    seen = np.einsum("hts,shd->thd", shares, value).reshape(5, 8)
    found = attended(attention, w, x, replace(causal_context(5), tokens=TOKENS))
    np.testing.assert_allclose(found, seen @ w["output"].T, rtol=1e-10)


def test_each_layer_has_a_table_and_two_parts_that_start_at_a_half():
    gpt, causal = make_gpt(attention=ValueEmbedding()), make_gpt()
    more = {n: w.shape for n, w in gpt.declared_weights().items() if n not in causal.declared_weights()}
    assert more == {
        f"layers.{i}.attention.{name}": shape
        for i in (0, 1)
        for name, shape in {"table": (11, 8), "parts": (2,)}.items()
    }
    np.testing.assert_array_equal(gpt.initial_weights(0)["layers.1.attention.parts"], [0.5, 0.5])


def test_nothing_of_the_table_is_causal_attention():
    w = {**numbers_of(ValueEmbedding(), SIZES), "parts": np.array([1.0, 0.0])}
    x = np.random.default_rng(1).normal(size=(5, 8))
    plain = {name: w[name] for name in CausalAttention().weights(SIZES)}
    found = attended(ValueEmbedding(), w, x, replace(causal_context(5), tokens=TOKENS))
    np.testing.assert_allclose(found, attended(CausalAttention(), plain, x), rtol=1e-12)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=ValueEmbedding())
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 3)[1].loss).max() > 1e-9
