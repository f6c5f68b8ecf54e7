"""train.freeze: named weights stay as they are, to the bit, and cost nothing."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.engines import xla_programs
from gptlab.engines.engine import Batches
from gptlab.engines.engine import trained as without
from gptlab.engines.packing import choose_shape
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_compiled import Target
from gptlab.errors import UserError
from gptlab.model.adapted import frozen_names
from gptlab.optim.optimizers import SGD, Adam, AdamW
from gptlab.optim.transforms import Averaged, Clipped
from gptlab.plugins.loading import load_plugins
from tests.models import BOOK, assert_same_run, make_gpt, random_batches

REGISTRY = load_plugins().registry
FREEZE = ["tokenEmbedding", "layers.0", "layers.1.mlp.output"]


def optimizers():
    for name in REGISTRY.names("optimizer"):
        yield pytest.param(REGISTRY.get("optimizer", name)(), id=name)
    yield pytest.param(AdamW(weightDecay=0.3), id="adamw, decaying")
    yield pytest.param(SGD(momentum=0.9), id="sgd, momentum")
    yield pytest.param(Averaged(Clipped(Adam(), 0.1), 0.9), id="adam, clipped and averaged")


def trained(engine, gpt, frozen, steps, optimizer, batch=2):
    """As tests.models.trained, with frozen weights; the session as well."""
    session = engine.session(gpt, optimizer, OpTable(), frozen)
    weights = gpt.initial_weights(0)
    state = session.init(weights, optimizer.init(without(weights, frozen)))
    state, metrics = session.train(state, random_batches(gpt, steps, batch), np.full(steps, 0.01))
    return session, state, metrics


@pytest.mark.slow
@pytest.mark.parametrize("engine", [XlaEngine("float64"), ScalarEngine()], ids=["xla", "scalar"])
@pytest.mark.parametrize("optimizer", list(optimizers()))
def test_frozen_weights_stay_to_the_bit_and_the_others_move(engine, optimizer):
    if type(engine).__name__ == "ScalarEngine" and "scalar" not in getattr(optimizer, "engines", ("scalar",)):
        pytest.skip("an optimizer of the xla engine alone")
    gpt = make_gpt(norm=("rmsnorm", {"scale": True}))
    frozen = frozen_names(FREEZE, gpt)
    session, state, _ = trained(engine, gpt, frozen, 3, optimizer)
    for kind, arrays in (
        ("trained", session.export(state).weights),
        ("used", session.export(session.for_evaluation(state)).weights),
    ):
        assert list(arrays) == list(gpt.declared_weights())
        for name, start in gpt.initial_weights(0).items():
            same = np.asarray(arrays[name], dtype=np.float64).tobytes() == start.tobytes()
            assert same == (name in frozen), (kind, name)
    moments = [name for named in session.export(state).optimizer.values() for name in named]
    assert not set(moments) & frozen


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [Adam(), AdamW(weightDecay=0.1)], ids=["adam", "adamw"])
def test_both_engines_train_the_rest_alike(optimizer):
    gpt = make_gpt(norm=("rmsnorm", {"scale": True}))
    frozen = frozen_names(["tokenEmbedding", "layers.0"], gpt)
    ends = []
    for engine in (XlaEngine("float64"), ScalarEngine()):
        session, state, metrics = trained(engine, gpt, frozen, 10, optimizer)
        ends.append((session.export(state), metrics))
    assert_same_run(*ends)


@pytest.mark.slow
def test_documents_that_share_rows_train_the_rest_alike():
    gpt = make_gpt()
    frozen = frozen_names(["output", "layers.1"], gpt)
    batches = random_batches(gpt, 5, 16)
    batches.lengths[:] = batches.lengths % 3 + 1
    assert choose_shape(batches.lengths.ravel(), 16, batches.tokens.shape[2] - 1) is not None
    ends = []
    for population in (None, batches.lengths.ravel()):
        session = XlaEngine("float64").session(gpt, Adam(), OpTable(), frozen)
        given = Batches(batches.tokens, batches.lengths, population)
        weights = gpt.initial_weights(0)
        state = session.init(weights, Adam().init(without(weights, frozen)))
        state, metrics = session.train(state, given, np.full(5, 0.01))
        ends.append((session.export(state), metrics))
    assert_same_run(*ends)


@pytest.mark.slow
def test_the_gradient_norm_is_that_of_the_trained_weights():
    gpt = make_gpt()
    frozen = frozen_names(FREEZE, gpt)
    _, _, metrics = trained(XlaEngine("float64"), gpt, frozen, 1, Adam())
    session = ScalarEngine().session(gpt, Adam(), OpTable())
    batches = random_batches(gpt, 1)
    state = session.init(gpt.initial_weights(0), {})
    _, _, grads, _ = session.gradients(state, batches.tokens[0], batches.lengths[0])
    squares = {name: float(np.sum(g * g)) for name, g in grads.items()}
    rest = sum(square for name, square in squares.items() if name not in frozen)
    np.testing.assert_allclose(metrics.gradNorm[0], np.sqrt(rest), rtol=1e-9)
    assert rest < 0.9 * sum(squares.values())


@pytest.mark.slow
def test_no_gradient_of_a_frozen_weight_is_computed():
    """By XLA's own count of the operations of a step."""
    gpt, optimizer = make_gpt(BOOK), Adam()
    counts = []
    for freeze in ([], ["tokenEmbedding", "positionEmbedding", "layers.0"]):
        frozen = frozen_names(freeze, gpt)
        session = XlaEngine().session(gpt, optimizer, OpTable(), frozen)
        weights = gpt.initial_weights(0)
        state = session.init(weights, optimizer.init(without(weights, frozen)))
        arguments = (
            without(state.weights, frozen),
            state.optimizer,
            np.int32(0),
            {field: np.float32(value) for field, value in session.hyper.items()},
            np.zeros((1, 1, 10), dtype=np.int32),
            np.ones((1, 1), dtype=np.int32),
            np.ones(1, dtype=np.float32),
            np.int32(1),
            None,
            {name: array for name, array in state.weights.items() if name in frozen},
        )
        program = xla_programs.train_program(gpt, session.template, session.arithmetic, Target())
        counts.append(program.lower(*arguments).compile().cost_analysis()["flops"])
    assert counts[1] < 0.75 * counts[0]


def test_a_prefix_ends_at_a_dot():
    gpt = make_gpt({**BOOK, "nLayer": 11, "nEmbd": 4, "nHead": 1})
    frozen = frozen_names(["layers.1", "layers.2.mlp"], gpt)
    assert {name.rsplit(".", 2)[0] for name in frozen} == {"layers.1", "layers.2"}
    assert "layers.2.attention.query" not in frozen
    assert "layers.10.attention.query" not in frozen


@pytest.mark.parametrize(
    ("freeze", "words"),
    [
        (["tokenEmbeding"], ["'tokenEmbeding'", "Did you mean tokenEmbedding"]),
        (["layers.2"], ["'layers.2'", "layers.1"]),
        (["attention.query"], ["'attention.query'", "how its name begins"]),
        ([""], ["''"]),
        (
            ["tokenEmbedding", "positionEmbedding", "output", "layers"],
            ["must leave something to train", "layers.1.mlp.output"],
        ),
    ],
    ids=["misspelt", "no such layer", "a part", "nothing", "everything"],
)
def test_what_cannot_be_frozen_is_refused(freeze, words):
    with pytest.raises(UserError) as refused:
        frozen_names(freeze, make_gpt())
    for word in words:
        assert word in str(refused.value)
