"""The example plugin parallelblock: GPT-J's formula by hand, its weights, and both engines."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.model.component import Part
from gptlab.model.in_context import InContext
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
ParallelBlock = REGISTRY.get("block", "parallelblock")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("block", "parallelblock") == "parallelblock"
    assert_passes("parallelblock")


def test_it_is_gpt_js_formula():
    gpt = make_gpt(block=ParallelBlock(), norm=("rmsnorm", {"scale": True}), initStd=0.5)
    arrays = ScalarArithmetic(OpTable())
    numbers = gpt.initial_weights(0)
    numbers["layers.0.norm.scale"] = np.linspace(0.5, 2, 8)
    tensors = {name: Tensor(arrays.constant(array), arrays) for name, array in numbers.items()}
    x = np.random.default_rng(0).normal(size=(5, 8))
    context = causal_context(5)
    layer = Part(tensors, "layers.0")
    y = gpt.block(layer, Tensor(arrays.constant(x), arrays), InContext(gpt, context, tensors), context)

    w = {name.removeprefix("layers.0."): array for name, array in numbers.items()}
    normed = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * w["norm.scale"]
    mlp = np.maximum(normed @ w["mlp.hidden"].T, 0) @ w["mlp.output"].T
    query, key, value = (
        (normed @ w[f"attention.{n}"].T).reshape(5, 2, 4).swapaxes(0, 1) for n in ("query", "key", "value")
    )
    scores = np.where(np.tri(5, dtype=bool), query @ key.swapaxes(1, 2) / 2, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    attention = (shares @ value).swapaxes(0, 1).reshape(5, 8) @ w["attention.output"].T
    np.testing.assert_allclose(data_of(y.data), x + attention + mlp, rtol=1e-12)


def test_it_has_one_norm_a_layer_and_otherwise_the_weights_of_a_block():
    norm = ("layernorm", {"scale": True})
    plain, parallel = (make_gpt(block=block, norm=norm) for block in ("prenorm", ParallelBlock()))
    ours = [name for name in parallel.declared_weights() if name.startswith("layers.0")]
    theirs = [name for name in plain.declared_weights() if name.startswith("layers.0")]
    assert ours == ["layers.0.norm.scale", *(n for n in theirs if "Norm" not in n)]
    assert {m.part for m in parallel.matrices() if "scale" in m.name} == {"norm"}


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(block=ParallelBlock())
    scalar = trained(ScalarEngine(), gpt, 5)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 5)[1].loss).max() > 1e-6
