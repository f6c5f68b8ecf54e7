"""What components carry along the positions: the same on both engines, in shared rows, and one by one."""

import jax
import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context, causal_context
from gptlab.engines.engine import Batches
from gptlab.engines.packing import choose_shape
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, grads_of
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_settings import jax_precision
from gptlab.errors import UserError
from gptlab.optim.optimizers import Adam
from gptlab.training.choosing import choose
from tests.models import assert_same_run, make_gpt, random_batches, trained
from tests.recurrent import Lstm, Several

ENGINES = [XlaEngine("float64"), ScalarEngine()]
PARTS = pytest.mark.parametrize("part", [Lstm(), Several()], ids=["lstm", "several"])
ROW = np.array([0, 1, 2, 0, 1, 0, 0], dtype=np.int32)  # of documents of 3, 2, 1 and 1 positions
X = np.arange(1.0, 15.0).reshape(7, 2)


@pytest.fixture(params=["scalar", "xla"])
def tensor(request):
    """`tensor(numbers)` on one engine."""
    with jax_precision("float64"):
        scalar = request.param == "scalar"
        arithmetic = ScalarArithmetic(OpTable()) if scalar else XlaArithmetic(OpTable(), "float64")
        yield lambda numbers: Tensor(arithmetic.constant(numbers), arithmetic)


def row() -> Context:
    return Context(ROW, ROW, np.ones((7, 7), dtype=bool))


def numbers(x: Tensor) -> np.ndarray:
    return np.asarray(x.data, dtype=float)


def sums(state, x):
    return state + x, state + x


@pytest.mark.parametrize("k", [1, 2, 9])
def test_behind_is_zero_before_a_document_begins(tensor, k):
    wanted = np.array([X[t - k] if p >= k else [0.0, 0.0] for t, p in enumerate(ROW)])
    np.testing.assert_array_equal(numbers(row().behind(tensor(X), k)), wanted)
    alone = numbers(causal_context(7).behind(tensor(X[:, 0]), k))
    np.testing.assert_array_equal(alone, np.concatenate([np.zeros(k), X[:, 0]])[:7])


@pytest.mark.parametrize("k", [0, -1, True, 1.0, "1", None], ids=repr)
def test_behind_takes_a_number_of_positions(tensor, k):
    with pytest.raises(UserError, match=r"at least 1: got k=.*Try behind\(x, 1\)"):
        causal_context(7).behind(tensor(X), k)


def test_a_scan_begins_anew_with_each_document(tensor):
    wanted = np.concatenate([10 + np.cumsum(part, axis=0) for part in np.split(X, [3, 5, 6])])
    start = tensor([10.0, 10.0])
    np.testing.assert_array_equal(numbers(row().scan(sums, start, tensor(X))), wanted)
    whole = numbers(causal_context(7).scan(sums, start, tensor(X)))
    np.testing.assert_array_equal(whole, 10 + np.cumsum(X, axis=0))


def test_states_and_what_a_scan_makes_may_be_several_tensors(tensor):
    def step(state, x, y):
        count, (total,) = state["count"] + 1.0, state["total"]
        return {"total": (total + x * y,), "count": count}, (total, count)

    start = {"count": tensor(0.0), "total": (tensor([0.0, 0.0]),)}
    totals, counts = causal_context(7).scan(step, start, tensor(X), tensor(X[:, 0:1]))
    np.testing.assert_array_equal(numbers(counts), np.arange(1.0, 8.0))
    wanted = np.cumsum(X * X[:, 0:1], axis=0)
    np.testing.assert_array_equal(numbers(totals), np.concatenate([np.zeros((1, 2)), wanted[:-1]]))


def grows(state, x):
    return state.concatenate(x), x


@pytest.mark.parametrize(
    ("step", "start", "rows", "said"),
    [
        (sums, 0.0, X, "the start of a scan must be a Tensor, or a tuple or dict of Tensors: got float"),
        (
            sums,
            X[0],
            X[:3],
            r"scan takes Tensors of \(7, ...\), a row for each position: got one of \(3, 2\)",
        ),
        (sums, X[0], None, "scan goes over the positions of one Tensor at least: got none"),
        (grows, X[0], X, r"return a state of the start's shapes: got \(4,\) for \(2,\)"),
        (lambda s, x: ((s, s), x), X[0], X, r"got \[\(2,\), \(2,\)\] for \(2,\)"),
        (lambda s, x: s, X[0], X, r"the step of a scan must return \(state, y\): got Tensor"),
        (lambda s, x: (s, 1.0), X[0], X, "a scan's y must be a Tensor"),
    ],
)
def test_what_a_scan_cannot_do_is_said(tensor, step, start, rows, said):
    first = start if isinstance(start, float) else tensor(start)
    with pytest.raises(UserError, match=said):
        causal_context(7).scan(step, first, *([] if rows is None else [tensor(rows)]))


def test_both_engines_give_the_gradients_of_a_recurrence():
    """y[t] = a y[t-1] + x[t], from a learned start: d sum(y) / da and the others, by hand in a document of 3."""

    def loss(x, a, start):
        return row().scan(lambda state, v: (state * a + v,) * 2, start, x).sum(0)

    scalar, xla = ScalarArithmetic(OpTable()), XlaArithmetic(OpTable(), "float64")
    given = [X[:, 0], np.array(0.5), np.array(2.0)]
    values = [as_values(array) for array in given]
    loss(*(Tensor(v, scalar) for v in values)).data[()].backward()
    with jax_precision("float64"):
        found = jax.grad(lambda arrays: loss(*(Tensor(v, xla) for v in arrays)).data)(
            [xla.constant(array) for array in given]
        )
    for value, gradient in zip(values, found, strict=True):
        np.testing.assert_allclose(grads_of(value), gradient, rtol=1e-12)
    np.testing.assert_allclose(found[0], [1.75, 1.5, 1, 1.5, 1, 1, 1])
    np.testing.assert_allclose(found[2], (0.5 + 0.25 + 0.125) + (0.5 + 0.25) + 0.5 + 0.5)


@pytest.mark.slow
@PARTS
def test_both_engines_train_alike(part):
    gpt = make_gpt(attention=part, position="none")
    assert_same_run(trained(ENGINES[0], gpt, 3), trained(ENGINES[1], gpt, 3), rtol=1e-8)


@pytest.mark.slow
@PARTS
def test_sharing_rows_changes_no_loss_and_no_weight(part):
    gpt, optimizer = make_gpt(attention=part, initStd=0.3), Adam()
    batches, population = random_batches(gpt, 6, 6), np.random.default_rng(0).integers(1, 5, 500)
    assert choose_shape(population, 6, batches.tokens.shape[2] - 1) is not None
    weights, runs = gpt.initial_weights(0), []
    for known in (population, None):
        session = ENGINES[0].session(gpt, optimizer, OpTable())
        state = session.init(weights, optimizer.init(weights))
        chunk = Batches(batches.tokens, batches.lengths, known)
        state, metrics = session.train(state, chunk, np.full(6, 0.01))
        runs.append((session.export(state), metrics))
    assert_same_run(*runs, rtol=1e-8)


@PARTS
@pytest.mark.parametrize("engine", ENGINES, ids=["xla", "scalar"])
def test_token_by_token_it_gives_what_it_gives_at_once(part, engine):
    gpt = make_gpt(attention=part, initStd=0.5)
    session, weights = engine.session(gpt, Adam(), OpTable()), gpt.initial_weights(0)
    state = session.init(weights, Adam().init(weights))
    settings = {"temperature": 0.0, "topK": 0, "topP": 1.0}
    prompts = [np.array([10, 3, 4]), np.array([10, 7])]
    for prompt in prompts:
        tokens = session.generate(state, choose, prompt, np.full((2, 6), 0.5), settings)[0]
        known = len(prompt)
        logits = session.logits(state, np.concatenate([prompt, tokens[known - 1 : 5]]))
        ends = np.flatnonzero(tokens[known - 1 :] == 10)
        until = 6 if not len(ends) else known + int(ends[0])
        np.testing.assert_array_equal(tokens[known - 1 : until], logits.argmax(-1)[known - 1 : until])
