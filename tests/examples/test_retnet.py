"""The example plugin retnet: the paper's parallel form by hand, what it keeps in generation, and both engines."""

import numpy as np
import pytest

from gptlab.checks import assert_passes
from gptlab.engines.context import Context, causal_context
from gptlab.engines.scalar import GrowingPast, ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_past import Kept, RecordingPast
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.attended import attended, numbers_of, rms
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
Retention = REGISTRY.get("attention", "retnet")
SIZES = make_gpt().sizes
WEIGHTS = numbers_of(Retention(), SIZES)


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("attention", "retnet") == "retnet"
    assert_passes("retnet")


def turned(heads):
    """(T, H, 4) by the angles of rope: pairs (i, i + 2)."""
    angles = np.outer(np.arange(len(heads)), 10000.0 ** -np.array([0, 0.5]))[:, None]
    whole = (heads[..., :2] + 1j * heads[..., 2:]) * np.exp(1j * angles)
    return np.concatenate([whole.real, whole.imag], axis=-1)


@pytest.mark.parametrize("position", ["none", "rope"])
def test_position_by_position_it_is_the_paper_s_parallel_form(position):
    x, w = np.random.default_rng(1).normal(size=(6, 8)), WEIGHTS
    query, key, value = ((x @ w[n].T).reshape(6, 2, 4) for n in ("query", "key", "value"))
    if position == "rope":
        query, key = turned(query), turned(key)
    back = np.arange(6)[:, None] - np.arange(6)
    decay = np.array([1 - 2**-5, 1 - 2**-6])[:, None, None]
    shares = np.einsum("thd,shd->hts", query, key) / 2 * np.where(back >= 0, decay ** np.maximum(back, 0), 0)
    seen = rms(np.einsum("hts,shd->thd", shares, value)).reshape(6, 8)
    gate = x @ w["gate"].T
    wanted = (seen * gate / (1 + np.exp(-gate))) @ w["output"].T
    np.testing.assert_allclose(
        attended(Retention(), w, x, gpt=make_gpt(position=position)), wanted, rtol=1e-10
    )


def test_generation_keeps_one_matrix_a_head_whatever_was_before():
    recorder, past = RecordingPast(), GrowingPast()
    x = np.random.default_rng(1).normal(size=(4, 8))
    seen = np.ones((1, 1), dtype=bool)
    attended(Retention(), WEIGHTS, x[:1], Context(np.array([0]), np.array([0]), seen, recorder))
    assert recorder.kept == [Kept(((2, 4, 4),), growing=False)]
    found = [
        attended(
            Retention(), WEIGHTS, x[t : t + 1], Context(np.array([t]), np.array([t]), seen, past.rewind())
        )
        for t in range(4)
    ]
    whole = attended(Retention(), WEIGHTS, x, causal_context(4))
    np.testing.assert_allclose(np.concatenate(found), whole, rtol=1e-12)


def test_an_eps_of_nothing_is_refused():
    with pytest.raises(
        UserError, match=r"attention\.eps must be above 0: got 0.*Try model\.attention\.eps=1e-5"
    ):
        Retention(eps=0)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(attention=Retention(), position="rope")
    scalar = trained(ScalarEngine(), gpt, 3)
    assert_same_run(trained(XlaEngine("float64"), gpt, 3), scalar)
    assert np.abs(scalar[1].loss - trained(ScalarEngine(), make_gpt(position="rope"), 3)[1].loss).max() > 1e-9
