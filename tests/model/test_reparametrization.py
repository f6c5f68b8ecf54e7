"""model/reparametrization: what is trained, what is made of it, and that only the latter is used afterwards."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.checks.check import Findings
from gptlab.checks.making import check_a_reparametrization
from gptlab.checks.report import assert_passes
from gptlab.engines.engine import trained as without
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.adapted import frozen_names
from gptlab.model.init import MuP
from gptlab.model.mlp import SwiGLU
from gptlab.model.reparametrization import OfMatrices, Reparametrization, SharedLayers, WeightNorm
from gptlab.model.reparametrized import check_rates, reparametrized
from gptlab.model.summary import summarize
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import SMALL, assert_same_run, make_gpt, random_batches, trained

ENGINES = {"xla": XlaEngine("float64"), "scalar": ScalarEngine()}
QUERY = "layers.0.attention.query"
TOKENS = np.array([10, 3, 1, 4])
DIFFERENT = ((), (("mlp", SwiGLU()),))  # in the second layer


def made(reparametrization, **changes):
    return reparametrized(make_gpt(**changes), reparametrization, OpTable())[0]


def used_of(engine, definition, weights):
    session = engine.session(definition, Adam(), OpTable())
    return session.export(session.for_evaluation(session.init(weights, {}))).weights


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weightNorm", "sharedLayers"])
def test_it_passes_its_own_check(name):
    assert_passes(name)


@pytest.mark.slow
@pytest.mark.parametrize("how", [WeightNorm(("attention.query", "mlp", "output")), SharedLayers()], ids=repr)
def test_both_engines_train_alike(how):
    ends = [trained(engine, made(how), 20) for engine in ENGINES.values()]
    assert_same_run(*ends, rtol=1e-10)
    used = [
        used_of(engine, made(how), end[0].weights) for engine, end in zip(ENGINES.values(), ends, strict=True)
    ]
    assert [list(each) for each in used] == [list(make_gpt().shapes)] * 2
    for name, array in used[0].items():
        np.testing.assert_allclose(array, used[1][name], rtol=1e-10, atol=1e-12)


def test_weight_norm_begins_as_the_model_was_and_its_rows_have_the_lengths():
    definition = made(WeightNorm(("attention.query",)))
    weights = definition.initial_weights(0)
    assert list(weights)[2:5] == ["output", f"{QUERY}.direction", f"{QUERY}.length"]
    begun = used_of(ENGINES["scalar"], definition, weights)
    for name, start in make_gpt().initial_weights(0).items():
        np.testing.assert_allclose(begun[name], start, rtol=1e-14)
    weights[f"{QUERY}.length"] = np.arange(8.0)
    weights[f"{QUERY}.direction"] *= 3
    used = used_of(ENGINES["scalar"], definition, weights)
    np.testing.assert_allclose(np.linalg.norm(used[QUERY], axis=1), np.arange(8.0), rtol=1e-14)


def test_the_gradient_leaves_the_length_of_a_direction_as_it_is():
    """v only turns: its gradient is at right angles to it (Salimans and Kingma 2016, section 2.1)."""
    definition = made(WeightNorm(("attention.query",)))
    session = ENGINES["scalar"].session(definition, Adam(), OpTable())
    weights = definition.initial_weights(0)
    batches = random_batches(definition, 1)
    _, _, grads, _ = session.gradients(session.init(weights, {}), batches.tokens[0], batches.lengths[0])
    v, by_v = weights[f"{QUERY}.direction"], grads[f"{QUERY}.direction"]
    assert np.abs(by_v).max() > 1e-4
    np.testing.assert_allclose((v * by_v).sum(-1), 0, atol=1e-15)


def test_a_row_of_zeros_begins_at_zero_and_can_be_trained():
    definition = made(
        WeightNorm(("attention.output",)), init=replace(make_gpt().init, zero=("attention.output",))
    )
    weights = definition.initial_weights(0)
    used = used_of(ENGINES["scalar"], definition, weights)
    assert not used["layers.1.attention.output"].any()
    state, _ = trained(ENGINES["scalar"], definition, 2)
    assert all(np.isfinite(array).all() for array in state.weights.values())
    assert state.weights["layers.1.attention.output.length"].all()


def test_layers_that_share_are_the_same_model_with_the_same_weights_in_each():
    definition = made(SharedLayers())
    weights = definition.initial_weights(0)
    assert not [name for name in weights if name.startswith("layers.1")]
    state, _ = trained(ENGINES["scalar"], definition, 3)
    used = used_of(ENGINES["xla"], definition, state.weights)
    for name in used:
        assert used[name].tobytes() == used[name.replace("layers.1", "layers.0")].tobytes()
    plain = ENGINES["scalar"].session(definition.base, Adam(), OpTable())
    session = ENGINES["scalar"].session(definition, Adam(), OpTable())
    logits = plain.logits(plain.init(used, {}), TOKENS)
    np.testing.assert_array_equal(session.logits(session.init(state.weights, {}), TOKENS), logits)


def test_the_gradient_of_a_shared_layer_is_the_sum_of_all_that_use_it():
    definition = made(SharedLayers())
    batches = random_batches(definition, 1)
    weights = definition.initial_weights(0)

    def gradients(model, given):
        session = ENGINES["scalar"].session(model, Adam(), OpTable())
        return session.gradients(session.init(given, {}), batches.tokens[0], batches.lengths[0])[2]

    shared = gradients(definition, weights)
    apart = gradients(definition.base, used_of(ENGINES["scalar"], definition, weights))
    both = apart[QUERY] + apart[QUERY.replace("0", "1")]
    np.testing.assert_allclose(shared[QUERY], both, rtol=1e-10)
    assert np.abs(apart[QUERY] - both).max() > 1e-6


def test_every_second_layer_is_used_again_with_a_period_of_two():
    sizes = {**SMALL, "nLayer": 5}
    how = SharedLayers(period=2)
    definition = reparametrized(make_gpt(sizes), how, OpTable())[0]
    assert {n.split(".")[1] for n in definition.declared_weights() if n.startswith("layers")} == {"0", "1"}
    assert [how.source(f"layers.{i}.mlp.hidden")[7] for i in range(5)] == ["0", "1", "0", "1", "0"]


@pytest.mark.slow
def test_documents_that_share_a_row_are_each_what_they_are_alone():
    definition = made(WeightNorm())
    weights = definition.initial_weights(0)
    batches = random_batches(definition, 1, batch=6)
    found = []
    for engine in ENGINES.values():
        session = engine.session(definition, Adam(), OpTable())
        state = session.init(weights, Adam().init(weights))
        found.append(session.train(state, batches, np.array([0.01]))[1])
    np.testing.assert_allclose(found[0].loss, found[1].loss, rtol=1e-12)
    np.testing.assert_allclose(found[0].gradNorm, found[1].gradNorm, rtol=1e-10)


def test_what_is_trained_is_frozen_by_its_own_name():
    definition = made(WeightNorm())
    frozen = frozen_names(["*.direction"], definition)
    assert f"{QUERY}.direction" in frozen and f"{QUERY}.length" not in frozen
    optimizer, weights = Adam(), definition.initial_weights(0)
    session = ENGINES["scalar"].session(definition, optimizer, OpTable(), frozen)
    state = session.init(weights, optimizer.init(without(weights, frozen)))
    state, _ = session.train(state, random_batches(definition, 2), np.array([0.01, 0.01]))
    ended = session.export(state).weights
    for name, start in weights.items():
        assert (ended[name].tobytes() == start.tobytes()) == (name in frozen), name


@pytest.mark.slow
def test_parameters_are_counted_as_they_are_trained_and_what_makes_them_is_a_part():
    gpt = make_gpt({**SMALL, "nLayer": 3})
    layer = 12 * 8 * 8
    total = sum(matrix.count for matrix in gpt.matrices())
    shared = summarize(reparametrized(gpt, SharedLayers(), OpTable())[0], OpTable(), Adam())
    assert shared.parameters == total - 2 * layer
    normed = summarize(reparametrized(gpt, WeightNorm(("mlp.hidden",)), OpTable())[0], OpTable(), Adam())
    assert normed.parameters == total + 3 * 32
    (part,) = [part for part in normed.parts if part.name == "reparametrization"]
    assert part.forward > 0 and part.parameters == 0
    rows = {matrix.name: matrix.part for matrix in made(WeightNorm(("layers", "output"))).matrices()}
    assert rows["output.length"] == "output" and rows[f"{QUERY}.direction"] == "attention"


def test_weights_of_another_run_are_what_it_goes_on_from():
    definition = made(WeightNorm())
    own = make_gpt().initial_weights(5)
    used = used_of(ENGINES["scalar"], definition, definition.started(own, 0))
    for name, array in own.items():
        np.testing.assert_allclose(used[name], array, rtol=1e-14)
    shared = made(SharedLayers())
    with pytest.raises(
        UserError, match=r"layers\.1\.attention\.query and layers\.0\.attention\.query differ"
    ):
        shared.started(own, 0)
    alike = {name: own[name.replace("layers.1", "layers.0")] for name in own}
    assert shared.started(alike, 0).keys() == shared.declared_weights().keys()


@pytest.mark.parametrize(
    ("how", "changes", "words"),
    [
        (lambda: WeightNorm(("attention.quer",)), {}, "Did you mean attention.query"),
        (lambda: WeightNorm(("tokenEmbedding",)), {}, "'tokenEmbedding', which is not one"),
        (lambda: WeightNorm(()), {}, "targets must name a matrix"),
        (lambda: SharedLayers(0), {}, "period must be at least 1: got 0"),
        (lambda: SharedLayers(2), {}, "period must be below nLayer.*model.nLayer=4"),
        (SharedLayers, {"layers": DIFFERENT}, r"must have the same ones: layers\.1\.mlp"),
    ],
    ids=["misspelt", "embedding", "no target", "no period", "too long a period", "layers that differ"],
)
def test_what_cannot_be_made_is_refused(how, changes, words):
    with pytest.raises(UserError, match=words):
        made(how(), **changes)


def test_rates_of_an_init_for_weights_that_are_not_trained_are_refused():
    with pytest.raises(UserError, match=r"MuP .*WeightNorm trains layers\.0\.attention\.query\.direction"):
        check_rates(made(WeightNorm()), MuP(base=4))
    check_rates(made(WeightNorm()), make_gpt().init)
    check_rates(made(SharedLayers()), MuP(base=4))


@dataclass(frozen=True)
class Unnamed(Reparametrization):
    """Trains what it makes under the same names."""


@dataclass(frozen=True)
class Sideways(OfMatrices):
    """Makes the matrix the other way round."""

    def parts(self, matrix):
        return {"turned": matrix.T}

    def made(self, parts):
        return parts["turned"]


@dataclass(frozen=True)
class Misfit(OfMatrices):
    """Multiplies what does not fit."""

    def parts(self, matrix):
        return {"whole": matrix}

    def made(self, parts):
        return parts["whole"] @ parts["whole"]


@dataclass(frozen=True)
class Wrong(OfMatrices):
    """A gradient of half of what it should be, since the other half comes as numbers."""

    def parts(self, matrix):
        return {"whole": matrix}

    def made(self, parts):
        whole = parts["whole"]
        return whole * 0.5 + whole.largest(-1) * 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "what", "problem"),
    [
        (Unnamed(), "makes the weights that the model has", "must train other names"),
        (
            Sideways(),
            "makes the weights that the model has",
            "must have shape (32x8), and is made with (8x32)",
        ),
        (Misfit(), "makes the weights that the model has", "Misfit does not work: (32x8) @ (32x8)"),
        (Wrong(), "gradient, scalar engine", "central differences say"),
    ],
    ids=["names", "shape", "product", "gradient"],
)
def test_the_check_sees_what_is_wrong(part, what, problem):
    findings = Findings("reparametrization", "wrong", [])
    check_a_reparametrization(load_plugins(discover=False).registry, part, findings)
    (failed, *_) = [check for check in findings.checks if not check.passed]
    assert failed.what == what and problem in failed.problem
