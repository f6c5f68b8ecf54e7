"""The next chunk is made while the present one is computed: what that changes, and what it must not."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.batches import Ahead, Epochs
from gptlab.data.documents import Documents
from gptlab.engines.engine import Batches
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from gptlab.optim.schedules import Linear
from gptlab.training.loop import Plan, Training
from tests.models import NAMES, make_gpt


def make(start: int, steps: int) -> Batches:
    return Batches(np.full((steps, 1, 2), start), np.ones((steps, 1), dtype=np.int32))


def comes_true(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_what_is_taken_is_what_was_asked_for_whatever_was_begun():
    with Ahead(make) as ahead:
        assert ahead.take(0, 3).tokens.tolist() == make(0, 3).tokens.tolist()
        for begun in ((3, 2), (3, 4), (9, 2), (3, 0)):
            ahead.begin(*begun)
            assert ahead.take(3, 2).tokens.tolist() == make(3, 2).tokens.tolist(), begun


def test_it_is_made_in_another_thread_once_and_never_twice_at_a_time():
    made, running, most = [], [], []

    def slowly(start: int, steps: int) -> Batches:
        running.append(start)
        most.append(len(running))
        time.sleep(0.02)
        made.append((start, steps, threading.current_thread() is threading.main_thread()))
        running.pop()
        return make(start, steps)

    with Ahead(slowly) as ahead:
        ahead.begin(0, 2)
        assert comes_true(lambda: made == [(0, 2, False)]), "ready before it is asked for"
        ahead.take(0, 2)
        for start in (2, 4, 6):
            ahead.begin(start, 1)
            ahead.take(start, 2)
    assert made.count((0, 2, False)) == 1
    assert max(most) == 1


def test_an_error_rises_where_the_batches_are_taken():
    def broken(start: int, steps: int) -> Batches:
        raise OSError("the file is gone")

    with Ahead(broken) as ahead:
        ahead.begin(0, 1)
        with pytest.raises(OSError, match="the file is gone"):
            ahead.take(0, 1)


def test_nothing_is_left_running():
    before = set(threading.enumerate())
    with Ahead(make) as ahead:
        ahead.take(0, 1)
        ahead.begin(1, 1)
    assert set(threading.enumerate()) == before


class Watched:
    """A session that says which steps it was given, and whether they had been prepared."""

    def __init__(self, session):
        self._session = session
        self.begun, self.given, self.ready = [], [], []

    def __getattr__(self, name):
        return getattr(self._session, name)

    def prepare(self, batches):
        self.begun.append(len(batches.tokens))
        return self._session.prepare(batches)

    def train(self, state, batches, rates):
        self.given.append(len(batches.tokens))
        self.ready.append(batches.prepared is not None)
        assert sum(self.given) == 40 or comes_true(lambda: sum(self.begun) > sum(self.given))
        return self._session.train(state, batches, rates)


def documents() -> Documents:
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 27, (300, 17)).astype(np.int32)
    return Documents(tokens, generator.integers(2, 9, 300).astype(np.int32))


@pytest.mark.slow
def test_the_loop_begins_the_next_chunk_before_it_trains_on_this_one():
    gpt, optimizer = make_gpt(NAMES), Adam()
    session = Watched(XlaEngine().session(gpt, optimizer, OpTable()))
    weights = gpt.initial_weights(0)
    state = session.init(weights, optimizer.init(weights))
    training = Training(
        session,
        state,
        Plan(40, 0.01, Linear(), 10, 0),
        Epochs(documents(), 4, seed=1),
        documents()[np.arange(10)],
    )
    training.run()
    assert sum(session.given) == 40
    assert all(session.ready)
    assert len(session.begun) <= len(session.given) + 2, "what is begun is what is needed, but for the first"


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_what_is_prepared_trains_to_the_same_bits_as_what_is_not():
    gpt, optimizer = make_gpt(NAMES), Adam()
    session = XlaEngine().session(gpt, optimizer, OpTable())
    weights = gpt.initial_weights(0)
    batches = Epochs(documents(), 16, seed=1).chunk(0, 30)
    prepared = session.prepare(batches)
    assert prepared.prepared[0] is not None, "documents share rows, or this shows little"
    results = [
        session.train(session.init(weights, optimizer.init(weights)), some, np.full(30, 0.01))
        for some in (batches, prepared, replace(prepared, prepared=None))
    ]
    for state, metrics in results[1:]:
        np.testing.assert_array_equal(metrics.loss, results[0][1].loss)
        for name, array in state.weights.items():
            np.testing.assert_array_equal(np.asarray(array), np.asarray(results[0][0].weights[name]))


def test_an_engine_may_have_nothing_to_prepare():
    assert not hasattr(ScalarEngine().session(make_gpt(NAMES), Adam(), OpTable()), "prepare")
