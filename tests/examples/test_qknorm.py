"""The example plugin qknorm: its formula by hand, what the size of the weights does to it, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.attention import CausalAttention
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, causal_shares, numbers_of, rms
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
QKNorm = REGISTRY.get("attention", "qknorm")
SIZES = make_gpt().sizes


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "qknorm") == "qknorm"
    assert_passes("qknorm")


@pytest.mark.parametrize("shared", [2, 1])
def test_queries_and_keys_are_normed_head_by_head_and_scaled(shared):
    attention = QKNorm(nKVHead=shared, eps=1e-3)
    w = numbers_of(attention, SIZES)
    x = np.random.default_rng(1).normal(size=(5, 8))
    query, key, value = ((x @ w[n].T).reshape(5, -1, 4) for n in ("query", "key", "value"))
    query, key = rms(query, 1e-3) * w["queryScale"], rms(key, 1e-3) * w["keyScale"]
    key, value = (np.repeat(y, 2 // shared, axis=1) for y in (key, value))
    shares = causal_shares(np.einsum("thd,shd->hts", query, key) / 2)
    seen = np.einsum("hts,shd->thd", shares, value).reshape(5, 8)
    np.testing.assert_allclose(attended(attention, w, x), seen @ w["output"].T, rtol=1e-10)


def test_larger_matrices_of_queries_and_keys_do_not_sharpen_it():
    w = numbers_of(QKNorm(), SIZES)
    x = np.random.default_rng(1).normal(size=(5, 8))
    larger = {**w, "query": w["query"] * 100, "key": w["key"] * 100}
    of_one = attended(QKNorm(eps=1e-12), w, x)
    np.testing.assert_allclose(attended(QKNorm(eps=1e-12), larger, x), of_one, rtol=1e-8)
    assert np.abs(attended(CausalAttention(), larger, x) - attended(CausalAttention(), w, x)).max() > 0.1


def test_its_scales_are_of_a_head_and_start_at_1():
    start = make_gpt(attention=QKNorm()).initial_weights(0)
    for name in ("queryScale", "keyScale"):
        np.testing.assert_array_equal(start[f"layers.1.attention.{name}"], np.ones(4))
    with pytest.raises(
        UserError, match=r"attention\.eps must be above 0: got 0.*Try model\.attention\.eps=1e-5"
    ):
        QKNorm(eps=0)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=QKNorm(), position="rope")
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(position="rope"), 3)[1].loss).max() > 1e-9
