"""Two engines, one definition: the same losses and parameters, for every component, op and optimizer."""

from dataclasses import dataclass

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines import xla_programs
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_compiled import Target
from gptlab.errors import UserError
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from tests.models import BOOK, ONE_LAYER, SMALL, STANDARD, assert_same_run, make_gpt, random_batches, trained

REGISTRY = load_plugins(discover=False).registry
STEPS = 20

VARIANTS = {
    f"{kind}={name}": {kind: name, "sizes": ONE_LAYER}
    for kind in STANDARD
    for name in REGISTRY.names(kind)
    if name != STANDARD[kind]
}
VARIANTS |= {
    "standard": {},
    "norm.scale": {"sizes": ONE_LAYER, "norm": ("rmsnorm", {"scale": True}), "finalNorm": True},
    "layernorm.scale": {"sizes": ONE_LAYER, "norm": ("layernorm", {"scale": True})},
    "none.scale": {"sizes": ONE_LAYER, "norm": ("none", {"scale": True})},
    "grouped-queries": {"sizes": ONE_LAYER, "attention": ("causal", {"nKVHead": 1})},
    "grouped-queries-rope": {"attention": ("causal", {"nKVHead": 1}), "position": "rope"},
    "tied": {"sizes": ONE_LAYER, "tieEmbeddings": True},
    "final-norm": {"sizes": ONE_LAYER, "finalNorm": True},
    "as GPT-2": {
        "sizes": {**SMALL, "bias": True},
        "norm": ("layernorm", {"scale": True}),
        "embeddingNorm": False,
        "finalNorm": True,
        "tieEmbeddings": True,
    },
    "swiglu with biases": {"sizes": {**ONE_LAYER, "bias": True}, "mlp": "swiglu"},
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_both_engines_train_alike(changes):
    gpt = make_gpt(**changes)
    assert_same_run(trained(XlaEngine("float64"), gpt, STEPS), trained(ScalarEngine(), gpt, STEPS))


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_both_engines_train_the_63_296_parameters_alike():
    gpt = make_gpt(BOOK)
    assert sum(m.count for m in gpt.matrices()) == 63_296
    xla = trained(XlaEngine("float64"), gpt, STEPS, batch=1)
    assert_same_run(xla, trained(ScalarEngine(), gpt, STEPS, batch=1))


@dataclass(frozen=True)
class Probe:
    """An activation that is one op, put where its inputs are positive and its kinks are not."""

    op: str

    def __call__(self, x: Tensor) -> Tensor:
        positive = x * x + 0.5
        return positive.apply(self.op, *[positive * 0.3 + 0.1] * (BUILTIN_OPS[self.op].arity - 1))


@pytest.mark.slow
@pytest.mark.parametrize("op", BUILTIN_OPS)
def test_both_engines_compute_each_op_alike(op):
    gpt = make_gpt(ONE_LAYER, activation=Probe(op))
    assert_same_run(trained(XlaEngine("float64"), gpt, STEPS), trained(ScalarEngine(), gpt, STEPS))


@gptlab.op(samples=[(0.5, -1.5)])
def halfmul(xp, a, b):
    """a * b / 2, and its first input counts a little more than its second."""
    return 0.5 * a * b + 0.01 * a, (0.5 * b + 0.01, 0.5 * a)


@gptlab.op(samples=[(0.5, -1.5)])
def leakyadd(xp, a, b):
    """A sum whose order matters: what was added first has shrunk most."""
    return 0.999 * a + b, (0.999, 1.0)


@gptlab.op(samples=[(2.0, -1.5)])
def shiftedpow(xp, a, b):
    """pow of a little more."""
    y = xp.pow(a + 0.01, b)
    return y, (b * xp.pow(a + 0.01, b - 1.0), y * xp.log(xp.where(a > 0, a + 0.01, 1.0)))


@gptlab.op(samples=[(0.5,)])
def padeexp(xp, a):
    """(1 + a/8)^8, and a gradient that is not quite its own."""
    base = xp.maximum(1.0 + a / 8.0, 0.0)
    return base**8, (base**7 * 1.01,)


@gptlab.op(samples=[(0.5,)])
def loglike(xp, a):
    """A logarithm off by a tenth."""
    return 1.1 * xp.log(a), (1.1 / a,)


@gptlab.op(samples=[(0.5,)])
def leakyrelu(xp, a):
    """relu with a slope below 0."""
    return xp.where(a > 0, a, 0.1 * a), (xp.where(a > 0, 1.0, 0.1),)


SWAPS = {
    "mul": {"mul": halfmul},
    "add": {"add": leakyadd},
    "add+mul": {"add": leakyadd, "mul": halfmul},
    "pow": {"pow": shiftedpow},
    "exp": {"exp": padeexp},
    "log": {"log": loglike},
    "relu": {"relu": leakyrelu},
}


@pytest.mark.slow
@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS.keys())
def test_both_engines_obey_a_swapped_op_alike_and_it_matters(swap):
    gpt = make_gpt(ONE_LAYER)
    ops = OpTable(swap)
    scalar = trained(ScalarEngine(), gpt, 5, ops=ops)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5, ops=ops), scalar)
    standard = trained(ScalarEngine(), gpt, 5)
    assert np.abs(scalar[1].loss - standard[1].loss).max() > 1e-6


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_a_swapped_product_takes_no_more_memory_than_its_broadcast_terms():
    """Of the compiled training step at the book setting, beside what the standard one takes."""
    gpt, optimizer, positions = make_gpt(BOOK), Adam(), 9
    sizes = {}
    for name, swap in (("standard", {}), ("swapped", {"mul": halfmul})):
        session = XlaEngine().session(gpt, optimizer, OpTable(swap))
        weights = gpt.initial_weights(0)
        state = session.init(weights, optimizer.init(weights))
        tokens = np.zeros((1, 1, positions + 1), dtype=np.int32)
        lengths, rates = np.ones((1, 1), dtype=np.int32), np.ones(1, dtype=np.float32)
        hyper = {field: np.float32(value) for field, value in session.hyper.items()}
        program = xla_programs.train_program(gpt, session.template, session.arithmetic, Target())
        arguments = (
            state.weights,
            state.optimizer,
            np.int32(0),
            hyper,
            tokens,
            lengths,
            rates,
            np.int32(1),
            None,
        )
        sizes[name] = program.lower(*arguments).compile().memory_analysis().temp_size_in_bytes
    terms = positions * sum(matrix.count for matrix in gpt.matrices()) * 4  # bytes of float32
    assert 0 < sizes["swapped"] - sizes["standard"] < terms


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRY.names("optimizer"))
def test_both_engines_update_alike(name):
    gpt, optimizer = make_gpt(norm=("rmsnorm", {"scale": True})), REGISTRY.get("optimizer", name)()
    one = trained(XlaEngine("float64"), gpt, STEPS, optimizer=optimizer)
    other = trained(ScalarEngine(), gpt, STEPS, optimizer=optimizer)
    assert_same_run(one, other)
    for key, named in one[0].optimizer.items():
        for matrix, array in named.items():
            np.testing.assert_allclose(array, other[0].optimizer[key][matrix], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("ops", [{}, {"mul": halfmul}], ids=["standard", "swapped"])
def test_fused_and_unfused_graphs_agree(ops):
    gpt = make_gpt()
    fused = trained(ScalarEngine(fuse=True), gpt, 3, ops=OpTable(ops))
    assert_same_run(fused, trained(ScalarEngine(fuse=False), gpt, 3, ops=OpTable(ops)))


@pytest.mark.slow
def test_a_state_written_by_one_engine_is_read_by_the_other():
    gpt, optimizer = make_gpt(), REGISTRY.get("optimizer", "adam")()
    batches, rates = random_batches(gpt, 6), np.full(6, 0.01)
    halves = [type(batches)(batches.tokens[part], batches.lengths[part]) for part in (slice(3), slice(3, 6))]
    weights = gpt.initial_weights(0)
    ends = []
    for first, second in ((XlaEngine("float64"), ScalarEngine()), (ScalarEngine(), XlaEngine("float64"))):
        session = first.session(gpt, optimizer, OpTable())
        state, _ = session.train(session.init(weights, optimizer.init(weights)), halves[0], rates[:3])
        state = session.export(state)
        session = second.session(gpt, optimizer, OpTable())
        state, metrics = session.train(
            session.init(state.weights, state.optimizer, state.step), halves[1], rates[3:]
        )
        ends.append((session.export(state), metrics))
    assert_same_run(*ends)


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("engine", [XlaEngine("float32"), XlaEngine("float64"), ScalarEngine()], ids=str)
def test_training_repeats_to_the_bit(engine):
    gpt = make_gpt()
    one, other = trained(engine, gpt, 5), trained(engine, gpt, 5)
    assert one[1].loss.tobytes() == other[1].loss.tobytes()
    for name, array in one[0].weights.items():
        assert array.tobytes() == other[0].weights[name].tobytes()


def test_training_leaves_the_callers_weights_alone():
    gpt, optimizer = make_gpt(), REGISTRY.get("optimizer", "adam")()
    weights = {name: array.astype(np.float32) for name, array in gpt.initial_weights(0).items()}
    before = {name: array.copy() for name, array in weights.items()}
    session = XlaEngine().session(gpt, optimizer, OpTable())
    session.train(session.init(weights, optimizer.init(weights)), random_batches(gpt, 3), np.full(3, 0.1))
    assert all((weights[name] == before[name]).all() for name in weights)


@pytest.mark.usefixtures("optimized")
def test_padding_changes_nothing():
    gpt, optimizer = make_gpt(), REGISTRY.get("optimizer", "adam")()
    batches = random_batches(gpt, 4)
    tokens = batches.tokens.copy()
    for step, document in np.ndindex(batches.lengths.shape):
        tokens[step, document, batches.lengths[step, document] + 1 :] = 7
    session = XlaEngine("float64").session(gpt, optimizer, OpTable())
    runs = []
    for variant in (batches.tokens, tokens):
        weights = gpt.initial_weights(0)
        state = session.init(weights, optimizer.init(weights))
        _, metrics = session.train(state, type(batches)(variant, batches.lengths), np.full(4, 0.01))
        runs.append(metrics.loss.tobytes())
    assert runs[0] == runs[1]


@pytest.mark.slow
@pytest.mark.parametrize("engine", [XlaEngine("float64"), ScalarEngine()], ids=["xla", "scalar"])
def test_evaluation_is_the_mean_of_true_cross_entropies(engine):
    gpt, optimizer = make_gpt(), REGISTRY.get("optimizer", "adam")()
    weights = gpt.initial_weights(3)
    session = engine.session(gpt, optimizer, OpTable({"exp": padeexp, "log": loglike}))
    state = session.init(weights, optimizer.init(weights))
    batches = random_batches(gpt, 1, batch=70)
    tokens, lengths = batches.tokens[0], batches.lengths[0]
    expected = 0.0
    for row, length in zip(tokens, lengths, strict=True):
        logits = session.logits(state, row[:length])
        shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        expected -= np.log(shares[np.arange(length), row[1 : length + 1]]).sum()
    total, count = session.evaluate(state, tokens, lengths)
    assert count == lengths.sum()
    assert total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: XlaEngine("float16"), "engine.dtype must be one of float32, float64, bfloat16: got float16"),
        (lambda: ScalarEngine("float32"), "must be float64.*got float32"),
    ],
    ids=["xla", "scalar"],
)
def test_a_dtype_that_an_engine_has_not_is_refused(make, says):
    with pytest.raises(UserError, match=says):
        make()
