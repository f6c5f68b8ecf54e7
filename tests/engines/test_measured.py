"""Metrics of documents: by hand, on both engines, in rows that they share and not, over what counts."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.engines.held_out_rows import shared_rows
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.metric import Accuracy, ExactMatch
from gptlab.model.objective import AnswersAfter, NextToken
from gptlab.optim.optimizers import SGD
from tests.models import make_gpt, random_batches

METRICS = (("accuracy", Accuracy()), ("exactMatch", ExactMatch()))


@pytest.mark.parametrize("objective", [NextToken(), AnswersAfter(token=3)])
@pytest.mark.parametrize("full", [False, True], ids=["shared rows", "rows of their own"])
def test_each_documents_metrics_are_those_of_its_greedy_tokens(objective, full):
    gpt = make_gpt(objective=objective)
    batches = random_batches(gpt, 1, 40)
    tokens, lengths = batches.tokens[0], batches.lengths[0]
    lengths = np.full_like(lengths, tokens.shape[1] - 1) if full else lengths
    assert (shared_rows(lengths, tokens.shape[1] - 1) is None) == full
    scalar, xla = (engine.session(gpt, SGD(), OpTable()) for engine in (ScalarEngine(), XlaEngine("float64")))
    weights = gpt.initial_weights(0)
    state = scalar.init(weights, {})
    # Half of the targets are what the model says, so that something is right.
    for row in tokens[::2]:
        for t in range(tokens.shape[1] - 1):
            row[t + 1] = scalar.logits(state, row[: t + 1])[-1].argmax() if t != 2 or row[0] > 5 else 3
    right, counted, whole = [], [], []
    for row, length in zip(tokens, lengths.tolist(), strict=True):
        hits = scalar.logits(state, row[:length]).argmax(-1) == row[1 : length + 1]
        counts = np.cumsum(row[:length] == 3) > 0 if isinstance(objective, AnswersAfter) else hits | True
        right.append(hits[counts].sum())
        counted.append(counts.sum())
        whole.append(bool(counts.any()) and bool(hits[counts].all()))
    some = np.array(counted) > 0
    for session in (scalar, xla):
        found = session.measure(session.init(weights, {}), tokens, lengths, METRICS)
        np.testing.assert_array_equal(found.counted, counted)
        np.testing.assert_array_equal(found.metrics["accuracy"], [right, counted])
        np.testing.assert_array_equal(found.metrics["exactMatch"], [whole, some])
        assert found.shares() == {
            "accuracy": pytest.approx(sum(right) / sum(counted)),
            "exactMatch": pytest.approx(sum(whole) / some.sum()),
        }
        total, count = session.evaluate(session.init(weights, {}), tokens, lengths)
        np.testing.assert_allclose([total, count], [found.nats.sum(), sum(counted)], rtol=1e-12)
    assert 0 < sum(right) < sum(counted) and 0 < sum(whole) < some.sum()


def test_where_nothing_counts_a_metric_has_no_number():
    gpt = make_gpt(objective=AnswersAfter(token=3))
    session = ScalarEngine().session(gpt, SGD(), OpTable())
    tokens, lengths = np.array([[10, 1, 2, 10]]), np.array([3])
    found = session.measure(session.init(gpt.initial_weights(0), {}), tokens, lengths, METRICS)
    assert found.shares() == {} and found.counted == found.nats == 0.0
