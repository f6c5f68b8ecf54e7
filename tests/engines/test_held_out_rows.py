"""Held-out documents in rows that they share: each has the loss that it has alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlab.autograd.ops import OpTable
from gptlab.engines.held_out_rows import LARGEST, POSITIONS, shared_rows
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from tests.models import ONE_LAYER, make_gpt


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=400), st.integers(9, 12))
def test_each_document_stands_once_in_one_piece_in_one_row(lengths, longest):
    rows = shared_rows(np.array(lengths), longest)
    if rows is None:
        return
    slots = np.where(rows.documents >= 0, rows.documents * longest + rows.positions, -1)
    assert slots.shape[1] * slots.shape[2] <= POSITIONS and slots.shape[2] >= longest
    wanted = [d * longest + t for d, length in enumerate(lengths) for t in range(length)]
    assert sorted(slots[slots >= 0].tolist()) == wanted
    for row in slots.reshape(-1, slots.shape[2]).tolist():
        at = {slot: column for column, slot in enumerate(row) if slot >= 0}
        assert all(
            column == 0 or slot % longest == 0 or at[slot - 1] == column - 1 for slot, column in at.items()
        )


def test_rows_are_shared_where_that_leaves_less_padding():
    short = np.random.default_rng(0).integers(2, 10, 3000)
    rows = shared_rows(short, 10)
    assert rows is not None and rows.documents.size < 1.15 * short.sum()
    for lengths in (np.full(3000, 10), short[:1], np.ones(3000, dtype=int)):
        assert shared_rows(lengths, int(lengths.max())) is None


def test_no_memory_is_taken_to_lay_out_very_many():
    longest = int(LARGEST // 3000)
    lengths = np.full(3000, 5)
    lengths[0] = longest
    assert shared_rows(lengths, longest) is not None
    assert shared_rows(lengths, longest + 2) is None


@pytest.mark.slow
@pytest.mark.parametrize("position", ["learned", "rope", "none"])
def test_a_document_has_the_loss_that_it_has_alone(position):
    gpt = make_gpt(ONE_LAYER, position=position)
    random = np.random.default_rng(1)
    longest = gpt.sizes.blockSize
    lengths = np.concatenate([[longest], random.integers(1, longest // 2, 60)])
    tokens = random.integers(0, gpt.sizes.vocabSize, (len(lengths), longest + 1))
    assert shared_rows(lengths, longest) is not None
    weights = {name: 0.5 * random.normal(size=shape) for name, shape in gpt.shapes.items()}

    def session_of(engine):
        session = engine.session(gpt, Adam(), OpTable())
        return session, session.init(weights, Adam().init(weights))

    session, state = session_of(XlaEngine("float64"))
    found = session.document_nats(state, tokens, lengths)
    alone = [session.evaluate(state, tokens[i : i + 1], lengths[i : i + 1])[0] for i in range(len(lengths))]
    np.testing.assert_allclose(found, alone, rtol=1e-12)
    scalar, its = session_of(ScalarEngine())
    for i in (0, 7, 60):
        expected, count = scalar.evaluate(its, tokens[i : i + 1], lengths[i : i + 1])
        assert count == lengths[i]
        np.testing.assert_allclose(found[i], expected, rtol=1e-12)
