"""The example plugin dyt: its formula by hand, how it starts, what it bears, and both engines."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
DynamicTanh = REGISTRY.get("norm", "dyt")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("norm", "dyt") == "dyt"
    assert_passes("dyt")


def normed(weights, x):
    arrays = ScalarArithmetic(OpTable())
    tensors = {name: Tensor(arrays.constant(w), arrays) for name, w in weights.items()}
    return data_of(DynamicTanh()(tensors, Tensor(arrays.constant(x), arrays)).data)


def test_it_is_the_paper_s_formula():
    generator = np.random.default_rng(0)
    w = {"alpha": np.array([0.7]), "scale": generator.normal(size=8), "shift": generator.normal(size=8)}
    x = generator.normal(size=(5, 8))
    np.testing.assert_allclose(normed(w, x), np.tanh(0.7 * x) * w["scale"] + w["shift"], rtol=1e-12)
    np.testing.assert_allclose(
        np.abs(normed(w, x * 1e6) - w["shift"]), np.abs(w["scale"] + 0 * x), rtol=1e-12
    )


def test_it_starts_as_tanh_of_alpha_x_in_every_place_of_a_norm():
    gpt = make_gpt(norm=DynamicTanh(alpha=0.8), finalNorm=True)
    start = gpt.initial_weights(0)
    places = [
        "embeddingNorm",
        "finalNorm",
        *(f"layers.{i}.{n}Norm" for i in (0, 1) for n in ("attention", "mlp")),
    ]
    for place in places:
        np.testing.assert_array_equal(start[f"{place}.alpha"], [0.8])
        np.testing.assert_array_equal(start[f"{place}.scale"], np.ones(8))
        np.testing.assert_array_equal(start[f"{place}.shift"], np.zeros(8))
    assert {m.part for m in gpt.matrices() if m.name.rpartition(".")[2] in ("alpha", "scale", "shift")} == {
        "norm"
    }
    with pytest.raises(UserError, match=r"norm\.alpha must be above 0: got 0.*Try model\.norm\.alpha=0\.5"):
        DynamicTanh(alpha=0)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(norm=DynamicTanh())
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(norm="none"), 3)[1].loss).max() > 1e-6
