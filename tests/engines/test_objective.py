"""Objectives that count and weigh, and penalties: the same on both engines, in rows of their own and in shared ones."""

from dataclasses import replace

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import Batches
from gptlab.engines.marks import marked
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.objective import AnswersAfter, NextToken
from gptlab.optim.optimizers import Adam
from tests.models import ONE_LAYER, SMALL, assert_same_run, make_gpt, random_batches
from tests.objectives import Counting, Penalized, TwoHeads

STEPS, BATCH = 20, 6
SHORT = np.random.default_rng(0).integers(1, 5, 500)  # lengths for which rows are shared
CASES = {
    "z-loss and smoothing": {"objective": NextToken(zLoss=0.1, labelSmoothing=0.2)},
    "answers": {"objective": AnswersAfter(token=3)},
    "counts, penalties and dropout": {"objective": Counting(), "mlp": Penalized(), "dropout": 0.2},
    "marked tokens": {"marked": True},
    "marked tokens and answers": {"marked": True, "objective": AnswersAfter(zLoss=0.1, token=3)},
    "weights of its own": {"objective": TwoHeads(), "tieEmbeddings": True},
}


def with_marks(tokens):
    """Half of them, by chance, do not count."""
    flat = tokens.reshape(-1, tokens.shape[-1])
    return marked(flat, np.random.default_rng(2).random(flat[:, 1:].shape) < 0.5).reshape(tokens.shape)


def run(engine, gpt, population=None, batches=None, steps=STEPS):
    batches = batches or random_batches(gpt, steps, BATCH)
    if gpt.marked:
        batches = replace(batches, tokens=with_marks(batches.tokens))
    session, weights = engine.session(gpt, Adam(), OpTable()), gpt.initial_weights(0)
    chunk = Batches(batches.tokens, batches.lengths, population)
    state, metrics = session.train(
        session.init(weights, Adam().init(weights)), chunk, np.full(len(batches.tokens), 0.01)
    )
    return session, state, (session.export(state), metrics)


@pytest.mark.slow
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_both_engines_and_shared_rows_train_alike(changes):
    gpt = make_gpt(SMALL if "mlp" in changes else ONE_LAYER, **changes)  # each layer has a penalty
    scalar, its, expected = run(ScalarEngine(), gpt)
    for population in (None, SHORT):
        xla, state, found = run(XlaEngine("float64"), gpt, population)
        assert_same_run(found, expected, rtol=1e-10)
        assert found[1].numbers.keys() == expected[1].numbers.keys()
        for name, numbers in expected[1].numbers.items():
            np.testing.assert_allclose(found[1].numbers[name], numbers, rtol=1e-10, err_msg=name)
    batches = random_batches(gpt, 1, 30, seed=1)
    tokens = with_marks(batches.tokens) if gpt.marked else batches.tokens
    held_out = tokens[0], batches.lengths[0]
    np.testing.assert_allclose(xla.evaluate(state, *held_out), scalar.evaluate(its, *held_out), rtol=1e-9)


def batch_of(*rows):
    """A step of these documents, of one length."""
    tokens = np.array([rows], dtype=np.int32)
    return Batches(tokens, np.full(tokens.shape[:2], tokens.shape[2] - 1, dtype=np.int32))


@pytest.mark.slow
@pytest.mark.parametrize("engine", [ScalarEngine(), XlaEngine("float64")], ids=["scalar", "xla"])
def test_a_documents_loss_is_the_mean_over_what_counts_and_the_batchs_over_documents(engine):
    gpt = make_gpt(objective=AnswersAfter(token=3))
    batches = batch_of([10, 1, 3, 2, 5, 10], [10, 4, 1, 1, 3, 10], [10, 4, 1, 1, 6, 10])
    session, _, (_, metrics) = run(engine, gpt, batches=batches)
    start = session.init(gpt.initial_weights(0), {})
    losses = []
    for row in batches.tokens[0]:
        logits = session.logits(start, row[:-1])
        chosen = logits[np.arange(5), row[1:]]
        losses.append(np.log(np.exp(logits).sum(-1)) - chosen)
    counted = [losses[0][2:], losses[1][4:]]
    assert metrics.numbers["counted"] == [4.0]
    expected = sum(each.mean() for each in counted) / 3  # the third has no answer, and adds nothing
    np.testing.assert_allclose(metrics.minimized, expected, rtol=1e-10)
    np.testing.assert_allclose(metrics.loss, np.concatenate(counted).mean(), rtol=1e-10)
    total, count = session.evaluate(start, batches.tokens[0], batches.lengths[0])
    np.testing.assert_allclose([total, count], [np.concatenate(counted).sum(), 4.0], rtol=1e-10)


@pytest.mark.parametrize("engine", [ScalarEngine(), XlaEngine("float64")], ids=["scalar", "xla"])
def test_where_nothing_counts_nothing_is_learnt_and_nothing_is_nan(engine):
    gpt = make_gpt(objective=AnswersAfter(token=3))
    _, _, (state, metrics) = run(engine, gpt, batches=batch_of([10, 1, 2, 10]))
    assert metrics.loss == metrics.minimized == metrics.gradNorm == 0.0
    for name, array in gpt.initial_weights(0).items():
        np.testing.assert_array_equal(state.weights[name], array)


def test_a_penalty_is_minimized_and_in_no_loss():
    gpts = {on: make_gpt(mlp=Penalized(on=on)) for on in (True, False)}
    found = {on: run(ScalarEngine(), gpt, steps=1)[2][1] for on, gpt in gpts.items()}
    with_, without = found[True], found[False]
    np.testing.assert_allclose(with_.loss, without.loss, rtol=1e-14)
    added = sum(with_.numbers.values())
    np.testing.assert_allclose(with_.minimized, without.minimized + added, rtol=1e-12)
    assert set(with_.numbers) == {"penalty/hidden", "penalty/answer"} and (added > 0).all()
    assert not without.numbers


def test_an_objectives_weights_are_the_last_and_are_trained():
    gpt = make_gpt(objective=TwoHeads())
    assert list(gpt.shapes)[-2:] == ["objective.ahead", "objective.scale"]
    assert [m.part for m in gpt.matrices()][-2:] == ["objective"] * 2
    _, _, (state, _) = run(ScalarEngine(), gpt, steps=1)
    assert (state.weights["objective.ahead"] != gpt.initial_weights(0)["objective.ahead"]).any()
