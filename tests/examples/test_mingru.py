"""The example plugin mingru: the paper's recurrence by hand, what it keeps in generation, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.context import Context
from gptlab.engines.scalar import GrowingPast, ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_past import Kept, RecordingPast
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, numbers_of
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
MinGRU = REGISTRY.get("attention", "mingru")


WEIGHTS = numbers_of(MinGRU(), make_gpt().sizes)


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "mingru") == "mingru"
    assert_passes("mingru")


def test_it_is_the_paper_s_recurrence():
    x = np.random.default_rng(0).normal(size=(5, 8))
    y, w = attended(MinGRU(), WEIGHTS, x), WEIGHTS
    state = np.zeros(8)
    for t in range(5):
        z = 1 / (1 + np.exp(-w["gate"] @ x[t]))
        state = (1 - z) * state + z * (w["candidate"] @ x[t])
        np.testing.assert_allclose(y[t], w["output"] @ state, rtol=1e-10)


def test_a_large_gate_is_open_and_shut_and_overflows_nowhere():
    y = attended(MinGRU(), WEIGHTS, np.random.default_rng(0).normal(size=(4, 8)) * 1e4)
    assert np.isfinite(y).all()


def test_generation_keeps_one_state_whatever_was_before():
    recorder, past = RecordingPast(), GrowingPast()
    x = np.random.default_rng(0).normal(size=(4, 8))
    seen = np.ones((1, 1), dtype=bool)
    attended(MinGRU(), WEIGHTS, x[:1], Context(np.array([0]), np.array([0]), seen, recorder))
    assert recorder.kept == [Kept(((8,),), growing=False)]
    assert recorder.kept[0].shapes(10) == recorder.kept[0].shapes(1000) == [(8,)]
    found = [
        attended(MinGRU(), WEIGHTS, x[t : t + 1], Context(np.array([t]), np.array([t]), seen, past.rewind()))
        for t in range(4)
    ]
    np.testing.assert_allclose(np.concatenate(found), attended(MinGRU(), WEIGHTS, x), rtol=1e-12)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=MinGRU(), position="none")
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    without = trained(ScalarEngine(), make_gpt(attention="none", position="none"), 3)
    assert np.abs(scalar[1].loss - without[1].loss).max() > 1e-9
