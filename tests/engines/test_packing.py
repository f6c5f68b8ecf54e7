"""Documents that share rows: where they go, and that nothing of the results depends on it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gptlab
from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import Batches
from gptlab.engines.packing import PassShape, choose_shape, pack, place, stride_of
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from tests.models import ONE_LAYER, assert_same_run, make_gpt, random_batches

LENGTHS = st.integers(1, 5).flatmap(
    lambda batch: st.lists(
        st.lists(st.integers(1, 9), min_size=batch, max_size=batch), min_size=1, max_size=6
    )
)


@given(LENGTHS, st.integers(9, 20), st.integers(1, 5))
def test_each_position_of_each_document_has_one_slot_in_a_row_of_its_step(lengths, width, rows):
    lengths = np.array(lengths, dtype=np.int32)
    span = 10
    packed = pack(lengths, span, PassShape(rows, width))
    assert packed.first[0] == 0 and packed.first[-1] == len(packed.slots)
    for step, documents in enumerate(lengths):
        passes = packed.slots[packed.first[step] : packed.first[step + 1]]
        assert passes.shape[1:] == (rows, width)
        wanted = {
            d * stride_of(span) + t for d, length in enumerate(documents.tolist()) for t in range(length)
        }
        assert sorted(passes[passes >= 0].tolist()) == sorted(wanted)
        for row in passes.reshape(-1, width):
            at = {slot: column for column, slot in enumerate(row.tolist()) if slot >= 0}
            # A document is in one piece: what follows a position stands right after it.
            assert all(at[s + 1] == at[s] + 1 for s in at if s + 1 in wanted)


def test_first_fit_takes_the_longest_first():
    placed = place(np.array([[3, 5, 4, 2, 2]], dtype=np.int32), 8)
    assert placed.row.tolist() == [[0, 0, 1, 1, 1]]
    assert placed.column.tolist() == [[5, 0, 0, 4, 6]]
    assert placed.rows_needed.tolist() == [2]


def test_a_shape_is_chosen_where_documents_are_short_and_not_where_it_does_not_pay():
    short = np.random.default_rng(0).integers(2, 13, 1000)
    shape = choose_shape(short, 16, 12)
    assert shape is not None and shape.width >= 12
    assert shape.rows * shape.width < 0.85 * 16 * 12
    assert choose_shape(short, 16, 12) == shape, "a resumed run must sum in the same order"
    for _ in range(5):
        shuffled = np.random.default_rng(1).permutation(short)
        assert choose_shape(shuffled, 16, 12) == shape, "runs of all seeds must share a program"
    assert choose_shape(short, 1, 12) is None
    assert choose_shape(np.full(1000, 12), 16, 12) is None


def packed_and_padded(gpt, steps=20, batch=6, ops=None, optimizer=None, seed=0):
    """The same documents, once with shared rows and once each in its own."""
    batches = random_batches(gpt, steps, batch, seed)
    batches.lengths[1] = batches.tokens.shape[2] - 1  # more than a pass holds
    population = np.random.default_rng(0).integers(1, 5, 500)
    assert choose_shape(population, batch, batches.tokens.shape[2] - 1) is not None
    engine, optimizer = XlaEngine(dtype="float64"), optimizer or Adam()
    results = []
    for known in (population, None):
        session = engine.session(gpt, optimizer, ops or OpTable())
        weights = gpt.initial_weights(0)
        state = session.init(weights, optimizer.init(weights))
        rates = 0.01 * (1 - np.arange(steps) / steps)
        chunk = Batches(batches.tokens, batches.lengths, known)
        state, metrics = session.train(state, chunk, rates)
        results.append((session.export(state), metrics))
    return results


VARIANTS = [
    {},
    {"position": "rope"},
    {"position": "none"},
    {"norm": "layernorm", "activation": "silu", "mlp": "swiglu"},
    {"attention": ("causal", {"nKVHead": 1})},
    {"finalNorm": True, "tieEmbeddings": True},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_sharing_rows_changes_no_loss_and_no_weight(changes):
    assert_same_run(*packed_and_padded(make_gpt(ONE_LAYER, **changes)), rtol=1e-8)


@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp, a, b):
    """a * b / 2."""
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


@pytest.mark.slow
def test_nor_with_a_swapped_product():
    assert_same_run(
        *packed_and_padded(make_gpt(ONE_LAYER), steps=4, ops=OpTable({"mul": halfmul})), rtol=1e-8
    )


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_the_scalar_engine_agrees_with_shared_rows():
    gpt, optimizer = make_gpt(), Adam()
    batches = random_batches(gpt, 5, 6)
    weights = gpt.initial_weights(0)
    runs = []
    for engine in (ScalarEngine(), XlaEngine(dtype="float64")):
        session = engine.session(gpt, optimizer, OpTable())
        chunk = Batches(batches.tokens, batches.lengths, np.random.default_rng(0).integers(1, 5, 500))
        state, metrics = session.train(
            session.init(weights, optimizer.init(weights)), chunk, np.full(5, 0.01)
        )
        runs.append((session.export(state), metrics))
    assert_same_run(*runs)


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_how_a_run_is_cut_into_calls_changes_nothing():
    """To the bit: what a resumed run rests on."""
    gpt, optimizer = make_gpt(), Adam()
    batches = random_batches(gpt, 12, 6)
    population = np.random.default_rng(0).integers(1, 5, 500)
    weights = gpt.initial_weights(0)
    found = []
    for cuts in ([0, 12], [0, 1, 5, 12]):
        session = XlaEngine().session(gpt, optimizer, OpTable())
        state = session.init(weights, optimizer.init(weights))
        for start, stop in itertools.pairwise(cuts):
            chunk = Batches(batches.tokens[start:stop], batches.lengths[start:stop], population)
            state, _ = session.train(state, chunk, np.full(stop - start, 0.01))
        found.append(session.export(state).weights)
    for name, array in found[0].items():
        np.testing.assert_array_equal(array, found[1][name])
