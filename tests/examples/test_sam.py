"""The example plugin sam: the gradient of a worse place nearby, on both engines, with all that asks for it."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.checks import assert_passes
from gptlab.engines.engine import Batches
from gptlab.engines.engine import trained as without
from gptlab.engines.packing import choose_shape
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.model.adapted import frozen_names
from gptlab.optim.optimizers import SGD, AdamW
from gptlab.plugins.loading import load_plugins
from tests.models import SMALL, assert_same_run, make_gpt, random_batches, trained

REGISTRY = load_plugins().registry
SAM = REGISTRY.get("optimizer", "sam")
SAMSGD = REGISTRY.get("optimizer", "samsgd")


@pytest.mark.slow
def test_they_are_registered_by_the_plugin_and_pass_the_checks():
    for name in ("sam", "samsgd"):
        assert REGISTRY.owner("optimizer", name) == "sam"
        assert_passes(name)


def test_a_step_is_that_of_the_gradient_uphill():
    """Of sum(p⁴)/4, whose gradient is p³."""
    params = {"matrix": np.array([[1.0, -2.0]]), "vector": np.array([0.5])}
    grads = {name: p**3 for name, p in params.items()}
    sam = SAMSGD(radius=0.3)
    moved, _ = sam.update(
        np, params, grads, sam.init(params), 1, 0.1, again=lambda p: (0.0, {n: a**3 for n, a in p.items()})
    )
    norm = np.sqrt(1.0 + 64.0 + 0.5**6)
    expected = {n: p - 0.1 * (p + 0.3 * p**3 / norm) ** 3 for n, p in params.items()}
    for name, array in expected.items():
        np.testing.assert_allclose(moved[name], array, rtol=1e-12)


@pytest.mark.parametrize(("sam", "base"), [(SAM, AdamW), (SAMSGD, SGD)], ids=["adamw", "sgd"])
def test_with_a_radius_of_0_it_is_what_it_is_built_on(sam, base):
    gpt = make_gpt({**SMALL, "nLayer": 1, "nEmbd": 4})
    runs = [trained(ScalarEngine(), gpt, 3, optimizer=one) for one in (sam(radius=0.0), base(), sam())]
    assert_same_run(*runs[:2], rtol=1e-12)
    assert any((runs[2][0].weights[n] != array).any() for n, array in runs[1][0].weights.items())


@pytest.mark.slow
def test_both_engines_agree_over_20_steps_with_frozen_weights():
    """And with dropout, which drops the same numbers of the step uphill."""
    gpt, optimizer = make_gpt({**SMALL, "nEmbd": 4}, dropout=0.2), SAM()
    frozen = frozen_names(["tokenEmbedding", "layers.0"], gpt)
    ends = []
    for engine in (ScalarEngine(), XlaEngine("float64")):
        session = engine.session(gpt, optimizer, OpTable(), frozen)
        weights = gpt.initial_weights(0)
        state = session.init(weights, optimizer.init(without(weights, frozen)))
        state, metrics = session.train(state, random_batches(gpt, 20), np.full(20, 0.01))
        ends.append((session.export(state), metrics))
        for name in frozen:
            assert np.asarray(ends[-1][0].weights[name], float).tobytes() == weights[name].tobytes()
    assert_same_run(*ends, rtol=1e-10)


@pytest.mark.slow
def test_documents_that_share_rows_train_as_those_with_rows_of_their_own():
    gpt, optimizer = make_gpt({**SMALL, "nEmbd": 4}), SAMSGD(momentum=0.5)
    batches = random_batches(gpt, 5, 16)
    batches.lengths[:] = batches.lengths % 3 + 1
    assert choose_shape(batches.lengths.ravel(), 16, batches.tokens.shape[2] - 1) is not None
    ends = []
    for population in (None, batches.lengths.ravel()):
        session = XlaEngine("float64").session(gpt, optimizer, OpTable())
        weights = gpt.initial_weights(0)
        given = Batches(batches.tokens, batches.lengths, population)
        state, metrics = session.train(
            session.init(weights, optimizer.init(weights)), given, np.full(5, 0.05)
        )
        ends.append((session.export(state), metrics))
    assert_same_run(*ends)


def test_a_radius_below_0_is_refused():
    with pytest.raises(UserError, match=r"^optimizer\.radius must be at least 0: got -1"):
        SAM(radius=-1.0)
