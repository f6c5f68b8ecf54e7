"""model.dropout: what it drops, the same on both engines and in any row, and nothing in evaluation."""

from dataclasses import replace

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks.drawing import after
from gptlab.engines.context import causal_context
from gptlab.engines.draws import Draws, key_of, threefry
from gptlab.engines.engine import Batches
from gptlab.engines.packing import choose_shape
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from tests.models import SMALL, assert_same_run, make_gpt, random_batches, trained


def drawing(step: int = 1) -> Draws:
    return Draws(np, threefry, key_of(0), step, 0)


def logits(gpt, draws: Draws | None) -> np.ndarray:
    arithmetic = ScalarArithmetic(OpTable())
    named = {name: Tensor(array, arithmetic) for name, array in gpt.initial_weights(0).items()}
    return gpt.logits(named, np.arange(5), causal_context(5, draws)).data.astype(float)


def test_drop_zeroes_at_its_rate_and_keeps_the_mean() -> None:
    x = Tensor(np.full((50, 200), 3.0), ScalarArithmetic(OpTable()))
    dropped = causal_context(50, drawing()).drop(x, 0.25).data.astype(float)
    assert set(np.unique(dropped)) == {0.0, 4.0}
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert causal_context(50).drop(x, 0.25) is x and causal_context(50, drawing()).drop(x, 0.0) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_is_at_least_0_and_below_1(rate) -> None:
    with pytest.raises(UserError, match=r"model\.dropout must be at least 0 and below 1"):
        make_gpt(dropout=rate)


def test_an_evaluation_drops_nothing() -> None:
    plain, dropped = make_gpt(initStd=0.5), make_gpt(initStd=0.5, dropout=0.5)
    np.testing.assert_array_equal(logits(plain, None), logits(dropped, None))
    assert np.abs(logits(dropped, drawing()) - logits(dropped, None)).min() > 1e-3
    assert np.abs(logits(dropped, drawing(1)) - logits(dropped, drawing(2))).min() > 1e-3


def test_embeddings_shares_and_what_branches_add_are_dropped() -> None:
    """Four draws in a model of one layer: what enters it, shares of attention, and what each branch adds."""
    draws = drawing()
    logits(replace(make_gpt({**SMALL, "nLayer": 1}), dropout=0.2), draws)
    assert dict(draws.counts) == {0: 1, 1: 3}


@pytest.mark.slow
def test_both_engines_drop_the_same() -> None:
    gpt = make_gpt(dropout=0.3)
    scalar = trained(ScalarEngine(), gpt, 8)
    assert_same_run(trained(XlaEngine("float64"), gpt, 8), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(), 8)[1].loss).min() > 1e-6


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_shared_rows_blocks_and_a_resumed_run_drop_the_same(monkeypatch) -> None:
    gpt = make_gpt(dropout=0.3)
    batches = random_batches(gpt, 4, 5)
    population = np.random.default_rng(0).integers(1, 5, 500)
    shape = choose_shape(population, 5, 6)
    assert shape is not None and shape.width > 4
    engine, weights = XlaEngine("float64"), gpt.initial_weights(0)
    shared = Batches(batches.tokens, batches.lengths, population, seed=1)
    halves = [
        Batches(batches.tokens[some], batches.lengths[some], seed=1) for some in (slice(2), slice(2, 4))
    ]
    whole = after(engine, gpt, OpTable(), weights, [replace(shared, population=None)])
    resumed = after(engine, gpt, OpTable(), weights, halves)
    together = after(engine, gpt, OpTable(), weights, [shared])
    monkeypatch.setattr(XlaArithmetic, "block", 4)
    in_blocks = after(engine, replace(gpt, initStd=0.07), OpTable(), weights, [shared])
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array)
        np.testing.assert_allclose(together[name], array, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(in_blocks[name], array, rtol=1e-9, atol=1e-12)


def test_another_seed_drops_others_with_the_same_program() -> None:
    gpt = make_gpt(dropout=0.3)
    batches = random_batches(gpt, 4)
    weights = gpt.initial_weights(0)
    one, other = (
        after(ScalarEngine(), gpt, OpTable(), weights, [replace(batches, seed=seed)]) for seed in (0, 1)
    )
    assert all(np.abs(one[name] - other[name]).max() > 0 for name in weights)


@pytest.mark.slow
def test_the_training_loss_is_of_the_model_as_it_was_drawn() -> None:
    """Also where ops are swapped, and the loss is computed apart from what the gradient is of."""
    gpt, ops = make_gpt(dropout=0.5), OpTable({"exp": load_plugins().registry.get("op", "padeexp")})
    scalar, xla = (trained(engine, gpt, 4, ops=ops) for engine in (ScalarEngine(), XlaEngine("float64")))
    assert_same_run(scalar, xla)
    session = ScalarEngine().session(gpt, SGD(), ops)
    batches = random_batches(gpt, 4)
    state = session.init(gpt.initial_weights(0), {})
    nats, count = session.evaluate(state, batches.tokens[0], batches.lengths[0])
    assert abs(scalar[1].loss[0] - nats / count) > 1e-3
