"""Long rows: attention in blocks, few positions a pass, samples in groups; nothing of the results depends on it."""

from types import SimpleNamespace

import numpy as np
import pytest

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.engines import packing, xla_session
from gptlab.engines.context import Context, causal_context
from gptlab.engines.engine import Batches
from gptlab.engines.packing import PassShape, choose_shape
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from gptlab.training.choosing import choose_from_all
from tests.models import ONE_LAYER, SMALL, assert_same_run, make_gpt, random_batches

VARIANTS = [
    {},
    {"position": "rope"},
    {"position": "none", "attention": ("causal", {"nKVHead": 1})},
]


@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp, a, b):
    """a * b / 2."""
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


def run_of(gpt, population=None, steps=6, batch=5, ops=None):
    batches = random_batches(gpt, steps, batch)
    batches.lengths[:, 0] = batches.tokens.shape[2] - 1
    optimizer = Adam()
    session = XlaEngine(dtype="float64").session(gpt, optimizer, ops or OpTable())
    weights = gpt.initial_weights(0)
    chunk = Batches(batches.tokens, batches.lengths, population)
    state = session.init(weights, optimizer.init(weights))
    state, metrics = session.train(state, chunk, np.full(steps, 0.01))
    held_out = session.evaluate(state, batches.tokens[0], batches.lengths[0])
    return (session.export(state), metrics), held_out, session.logits(state, batches.tokens[0, 0])


def in_blocks_and_whole(monkeypatch, gpt, **how):
    found = []
    for block in (4, None):
        monkeypatch.setattr(XlaArithmetic, "block", block)
        found.append(run_of(gpt, **how))
    (one, one_loss, one_logits), (other, other_loss, other_logits) = found
    assert_same_run(one, other)
    assert one_loss == pytest.approx(other_loss, rel=1e-12)
    np.testing.assert_allclose(one_logits, other_logits, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_attention_in_blocks_changes_no_loss_and_no_weight(monkeypatch, changes):
    in_blocks_and_whole(monkeypatch, make_gpt(ONE_LAYER, **changes))


@pytest.mark.slow
def test_nor_where_documents_share_a_row(monkeypatch):
    population = np.random.default_rng(0).integers(1, 5, 500)
    assert choose_shape(population, 5, 6).width > 4
    in_blocks_and_whole(monkeypatch, make_gpt(ONE_LAYER), population=population)


@pytest.mark.slow
def test_nor_with_a_bias_by_distance(monkeypatch):
    alibi = load_plugins().registry.get("position", "alibi")
    in_blocks_and_whole(monkeypatch, make_gpt(ONE_LAYER, position=alibi()))


@pytest.mark.slow
def test_nor_with_a_swapped_product(monkeypatch):
    in_blocks_and_whole(monkeypatch, make_gpt(ONE_LAYER), steps=2, ops=OpTable({"mul": halfmul}))


def test_blocks_hold_every_position_once_with_all_that_it_sees():
    context = causal_context(130)
    parts = context.blocks(64)
    assert [rows for rows, _, _ in parts] == [slice(0, 64), slice(64, 128), slice(128, 192)]
    for rows, keys, part in parts:
        assert part.mask.shape == (len(part.positions), len(part.key_positions))
        assert not context.mask[rows, keys.stop :].any(), "what is left out nobody may see"
        np.testing.assert_array_equal(part.mask, context.mask[rows, keys])
    assert len(causal_context(1024).blocks(64)) == 8
    assert context.blocks(None) == [(slice(None), slice(None), context)]


def test_a_position_that_may_see_later_ones_sees_them():
    everyone = Context(np.arange(6), np.arange(6), np.ones((6, 6), dtype=bool))
    ((_, _, part),) = everyone.blocks(2)
    assert part is everyone


def test_a_pass_has_few_positions():
    assert choose_shape(np.full(100, 64), 64, 64) == PassShape(8, 64)
    assert choose_shape(np.full(100, 1024), 8, 1024) == PassShape(1, 1024)
    assert choose_shape(np.full(100, 12), 16, 12) is None


@pytest.mark.slow
def test_more_passes_change_no_loss_and_no_weight(monkeypatch):
    gpt, population = (
        make_gpt(),
        np.full(99, 6),
    )  # a shape is remembered, and of these only this test asks for one
    whole, *_ = run_of(gpt)
    monkeypatch.setattr(packing, "PASS_POSITIONS", 12)
    assert choose_shape(population, 5, 6) == PassShape(2, 6)
    in_passes, *_ = run_of(gpt, population=population)
    assert_same_run(whole, in_passes)


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_samples_drawn_in_groups_are_those_drawn_together(monkeypatch):
    gpt = make_gpt({**SMALL, "blockSize": 8})
    session = XlaEngine(dtype="float64").session(gpt, Adam(), OpTable())
    state = SimpleNamespace(weights=session.init(gpt.initial_weights(0), {}).weights)
    uniforms = np.random.default_rng(0).random((7, 8))
    drawn = []
    for together in (7, 3):
        monkeypatch.setattr(xla_session, "TOGETHER", together)
        drawn.append(session.generate(state, choose_from_all, np.array([10]), uniforms, {"temperature": 1.0}))
    assert drawn[0].shape == (7, 8) and len({tuple(row) for row in drawn[0]}) > 1
    np.testing.assert_array_equal(*drawn)
