"""The example plugin multitoken: what its heads are to tell, that they stay with training, and both engines."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.checks import assert_passes
from gptlab.engines.context import causal_context
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
MultiToken = REGISTRY.get("objective", "multitoken")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("objective", "multitoken") == "multitoken"
    assert_passes("multitoken")


def test_each_head_tells_the_token_that_many_further_on_than_the_next():
    gpt, ids = make_gpt(objective=MultiToken(ahead=3, share=0.5)), np.array([10, 1, 4, 2, 7, 10])
    session, weights = ScalarEngine().session(gpt, SGD(), OpTable()), gpt.initial_weights(0)
    named = session.numbers(session.init(weights, {}))
    document = session.document(weights, ids)
    hidden, logits = (tensor.data for tensor in gpt.outputs(named, ids[:-1], causal_context(5)))
    expected = sum(nats(logits[t], ids[t + 1]) for t in range(5))
    for k in (1, 2):
        head = weights[f"objective.head{k}"]
        expected += 0.5 * sum(nats(head @ hidden[t], ids[t + 1 + k]) for t in range(5 - k))
    np.testing.assert_allclose(float(document.loss), expected / 5, rtol=1e-12)


def nats(logits, target):
    return np.log(np.exp(logits).sum()) - logits[target]


def test_one_token_ahead_is_the_plain_objective():
    one, plain = (
        trained(ScalarEngine(), gpt, 3) for gpt in (make_gpt(objective=MultiToken(ahead=1)), make_gpt())
    )
    assert_same_run(one, plain, rtol=1e-12)


@pytest.mark.slow
def test_both_engines_train_alike_with_it():
    gpt = make_gpt(objective=MultiToken())
    assert list(gpt.shapes)[-1] == "objective.head1"
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), trained(ScalarEngine(), gpt, 5))


@pytest.mark.parametrize(("field", "value"), [("ahead", 0), ("share", -1.0)])
def test_what_makes_no_sense_is_an_error(field, value):
    with pytest.raises(UserError, match=rf"objective\.{field} must be at least"):
        MultiToken(**{field: value})
