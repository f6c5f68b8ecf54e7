"""The example plugin differential: the paper's formula by hand, its sizes, its place in the depth, and both engines."""

from dataclasses import replace

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.attention import CausalAttention
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, causal_shares, numbers_of, rms
from tests.models import SMALL, assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Differential = REGISTRY.get("attention", "differential")
SIZES = replace(make_gpt().sizes, nHead=4, headDim=2)


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "differential") == "differential"
    assert_passes("differential")


@pytest.mark.parametrize("layer", [0, 1, 7])
def test_it_is_the_paper_s_formula(layer):
    w = {name: array / 2 for name, array in numbers_of(Differential(), make_gpt().sizes).items()}
    x = np.random.default_rng(1).normal(size=(5, 8))
    query, key = ((x @ w[n].T).reshape(5, 2, 4) for n in ("query", "key"))
    value = x @ w["value"].T  # of the one head that two queries make
    first, second = (causal_shares(query[:, i] @ key[:, i].T / 2) for i in range(2))
    start = 0.8 - 0.6 * np.exp(-0.3 * layer)
    share = np.exp(w["firstQuery"] @ w["firstKey"]) - np.exp(w["secondQuery"] @ w["secondKey"]) + start
    seen = rms((first - share * second) @ value) * w["scale"] * (1 - start)
    found = attended(Differential(), w, x, replace(causal_context(5), layer=layer))
    np.testing.assert_allclose(found, seen @ w["output"].T, rtol=1e-10)


def test_its_matrices_are_those_of_causal_attention_and_its_vectors_are_short():
    ours, theirs = Differential().weights(SIZES), CausalAttention().weights(SIZES)
    assert {name: ours[name] for name in theirs} == theirs
    gpt = make_gpt(attention=Differential())
    vectors = {
        n: w.shape
        for n, w in gpt.declared_weights().items()
        if n.startswith("layers.0") and len(w.shape) == 1
    }
    assert list(vectors.values()) == [(4,)] * 4 + [(8,)]
    np.testing.assert_array_equal(gpt.initial_weights(0)["layers.0.attention.scale"], np.ones(8))


def test_heads_do_not_read_each_other_s_values():
    gpt = make_gpt({**SMALL, "nHead": 4}, attention=Differential())
    weights = {**numbers_of(Differential(), gpt.sizes), "output": np.eye(8)}
    of_second = np.array([0.0] * 4 + [1.0] * 4)[:, None]  # of two heads
    other = {**weights, "value": weights["value"] + of_second}
    x = np.random.default_rng(1).normal(size=(5, 8))
    before, after = (attended(Differential(), w, x, gpt=gpt) for w in (weights, other))
    np.testing.assert_allclose(before[:, :4], after[:, :4], rtol=1e-12)
    assert np.abs(before[:, 4:] - after[:, 4:]).max() > 0.1


def test_a_position_that_knows_each_query_head_has_all_of_them():
    t5bias = REGISTRY.get("position", "t5bias")()
    gpt = make_gpt({**SMALL, "nHead": 4}, attention=Differential(), position=t5bias)
    state, metrics = trained(ScalarEngine(), gpt, 1)
    start = gpt.initial_weights(0)
    assert metrics.loss[0] > 0
    moved = np.abs(state.weights["relativeBias"] - start["relativeBias"]).max(0)
    assert (moved > 0).all()


def test_an_odd_number_of_queries_is_refused():
    with pytest.raises(
        UserError, match=r"nHead must be even: got nHead=1\. Try model\.nHead=2 model\.headDim=8\."
    ):
        make_gpt({**SMALL, "nHead": 1}, attention=Differential()).declared_weights()
    with pytest.raises(
        UserError, match=r"attention\.eps must be above 0: got 0.*Try model\.attention\.eps=1e-5"
    ):
        Differential(eps=0)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt({**SMALL, "nHead": 4}, attention=Differential(), position="rope")
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
