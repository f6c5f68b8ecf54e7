"""How weights start: each init by its own formula, one weight by itself, and what muP is for."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

import gptlab
from gptlab.assembly.optimizing import transformed
from gptlab.autograd.ops import OpTable
from gptlab.config.typed import Chosen, TrainConfig
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.component import Weight
from gptlab.model.gpt import settle_sizes
from gptlab.model.init import FanIn, Init, MuP, Normal, Orthogonal, Scaled
from gptlab.model.mlp import MLP
from gptlab.model.norm import RMSNorm
from gptlab.optim.optimizers import Adam
from tests.models import SMALL, make_gpt, random_batches

WIDE = {**SMALL, "nEmbd": 64}
RESIDUAL = {f"layers.{i}.{part}.output" for i in range(2) for part in ("attention", "mlp")}


def test_the_standard_start_is_what_it_was_to_the_bit():
    found = make_gpt().initial_weights(3)
    for name, array in found.items():
        generator = np.random.default_rng([3, 0, int.from_bytes(name.encode(), "big")])
        assert (array == 0.0 + generator.standard_normal(array.shape) * 0.08).all()


def test_scaled_shrinks_what_a_layer_adds_by():
    found = make_gpt(WIDE, init=Scaled()).initial_weights(0)
    standard = make_gpt(WIDE).initial_weights(0)
    for name, array in found.items():
        std = 0.02 / math.sqrt(2 * 2) if name in RESIDUAL else 0.02
        np.testing.assert_allclose(array, standard[name] * (std / 0.08), rtol=1e-12)


def test_fan_in_keeps_the_size_of_what_passes_through():
    found = make_gpt(WIDE, init=FanIn(gain=1.5)).initial_weights(0)
    for name in ("layers.0.mlp.hidden", "layers.0.mlp.output", "output"):
        array = found[name]
        x = np.random.default_rng(1).standard_normal((1000, array.shape[1]))
        assert (x @ array.T).std() == pytest.approx(1.5, rel=0.1)
    assert found["tokenEmbedding"].std() == pytest.approx(0.08, rel=0.1)


@pytest.mark.parametrize("name", ["layers.0.attention.query", "layers.1.mlp.hidden", "layers.0.mlp.output"])
def test_orthogonal_rows_or_columns(name):
    array = make_gpt(init=Orthogonal(gain=2.0)).initial_weights(0)[name]
    out, into = array.shape
    square = array @ array.T if out <= into else array.T @ array
    np.testing.assert_allclose(square, 4 * np.eye(min(out, into)), atol=1e-12)


def test_orthogonal_matrices_are_uniform():
    """Half of all have a trace below 0; without the signs of r nearly none has one above."""
    weight = Weight((4, 4), std=0.1, residual=False)
    generator = np.random.default_rng(0)
    traces = [np.trace(Orthogonal().start("layers.0.a", weight, generator)) for _ in range(400)]
    assert abs(np.mean(traces)) < 0.2


def test_what_is_named_starts_at_zero_and_all_else_as_it_would():
    plain = make_gpt().initial_weights(0)
    found = make_gpt(init=Normal(zero=["attention.output", "mlp.output"])).initial_weights(0)
    for name, array in found.items():
        assert (array == (0 if name in RESIDUAL else plain[name])).all()


def test_a_name_that_no_weight_has_is_refused_with_the_nearest():
    with pytest.raises(
        UserError, match=r"model.init.zero must be a weight.*'atention.output'.*attention.output"
    ):
        gptlab.create_model(vocabSize=11, init=Normal(zero=("atention.output",)))


@dataclass(frozen=True)
class Gated(MLP):
    """An mlp that says how its own weights start."""

    def weights(self, config):
        def start(name, weight, generator):
            return np.full(weight.shape, 0.5)

        width = self.expansion * config.nEmbd
        return {
            "hidden": Weight((width, config.nEmbd), init=start, mean=1.0),
            "output": Weight((config.nEmbd, width), residual=False),
        }


def test_a_component_says_its_own_start_and_the_others_stay_as_they_are():
    gpt = make_gpt(init=Scaled())
    own, others = replace(gpt, mlp=Gated()).initial_weights(0), gpt.initial_weights(0)
    for name, array in own.items():
        if name.endswith("mlp.hidden"):
            assert (array == 1.5).all()
        elif name.endswith("mlp.output"):  # said to be no residual output
            np.testing.assert_allclose(array, others[name] * 2, rtol=1e-12)
        else:
            assert array.tobytes() == others[name].tobytes()


@pytest.mark.parametrize(
    "init", [Scaled(), FanIn(), Orthogonal(), MuP()], ids=lambda init: type(init).__name__
)
def test_what_a_component_says_of_its_weights_holds_with_every_init(init):
    found = make_gpt(norm=RMSNorm(scale=True), init=init).initial_weights(0)
    assert (found["layers.0.mlpNorm.scale"] == 1).all()


def test_a_start_of_another_shape_is_refused():
    @dataclass(frozen=True)
    class Flat(Init):
        def start(self, name, weight, generator):
            return np.zeros(3)

    with pytest.raises(UserError, match=r"tokenEmbedding must start with the shape.*\(11, 8\): got \(3,\)"):
        make_gpt(init=Flat()).initial_weights(0)


def with_rates(gpt):
    """Adam with the rates that the model's init asks for."""
    return transformed(Adam(), Chosen(name="adam"), TrainConfig(), gpt.shapes, gpt.init.rates(gpt.shapes))


def test_mup_is_the_standard_at_its_base_width():
    gpt = make_gpt(init=MuP(base=8))
    for name, array in make_gpt().initial_weights(0).items():
        assert (gpt.initial_weights(0)[name] == array).all()
    assert with_rates(gpt) == Adam()


def test_mup_scales_what_is_multiplied_by():
    gpt = make_gpt(WIDE, norm=RMSNorm(scale=True), init=MuP(base=16))
    found, standard = gpt.initial_weights(0), make_gpt(WIDE, norm=RMSNorm(scale=True)).initial_weights(0)
    rates = gpt.init.rates(gpt.shapes)
    for name, array in found.items():
        table = "Embedding" in name or "Norm" in name
        np.testing.assert_allclose(array, standard[name] / (1 if table else 4 if name == "output" else 2))
        assert rates.get(name, 1.0) == (1.0 if table else 0.25)


def test_mup_is_not_for_tied_embeddings():
    with pytest.raises(UserError, match="tieEmbeddings"):
        gptlab.create_model(vocabSize=11, init="mup", tieEmbeddings=True)


def moved(width, init, power):
    """How far a few steps move the logits: the root of the mean square."""
    sizes = {**SMALL, "nEmbd": width, "nHead": 2}
    gpt = make_gpt(sizes, init=init, attention=("causal", {"scalePower": power}))
    optimizer = with_rates(gpt)
    session = XlaEngine().session(gpt, optimizer, OpTable())
    weights = gpt.initial_weights(0)
    state = session.init(weights, optimizer.init(weights))
    tokens = np.arange(6)
    before = session.logits(state, tokens)
    state, _ = session.train(state, random_batches(gpt, 4), np.full(4, 0.01))
    return float(np.sqrt(np.mean((session.logits(state, tokens) - before) ** 2)))


@pytest.mark.slow
def test_the_coordinate_check():
    """Yang et al. 2022, figure 5: under muP steps move the logits alike at each width, and else the more the wider."""
    widths = (16, 32, 64, 128)
    mup = [moved(width, MuP(base=16), 1.0) for width in widths]
    standard = [moved(width, Normal(), 0.5) for width in widths]
    assert max(mup) < 1.6 * min(mup), mup
    assert all(b > 1.5 * a for a, b in pairwise(standard)), standard


def test_sizes_that_do_not_matter_to_a_start():
    """The numbers of a weight depend on the seed, its name and its own shape."""
    more = settle_sizes(**{**SMALL, "nLayer": 3})
    gpt = make_gpt()
    for name, array in gpt.initial_weights(0).items():
        assert replace(gpt, sizes=more).initial_weights(0)[name].tobytes() == array.tobytes()
