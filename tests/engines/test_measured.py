"""Metrics of documents: by hand, on both engines, in rows that they share and not, over what counts."""

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.engines.held_out_rows import shared_rows
from gptlab.engines.measured import Gathering, Sliced, unsliced
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.metric import Accuracy, BitsPerByteOf, ExactMatch, LossByFrequency
from gptlab.model.objective import AnswersAfter, NextToken
from gptlab.model.slicing import Frequency, Length, Position
from gptlab.optim.optimizers import SGD
from tests.models import ONE_LAYER, make_gpt, random_batches

METRICS = (("accuracy", Accuracy()), ("exactMatch", ExactMatch()))


@pytest.mark.slow
@pytest.mark.parametrize("objective", [NextToken(), AnswersAfter(token=3)])
@pytest.mark.parametrize("full", [False, True], ids=["shared rows", "rows of their own"])
def test_each_documents_metrics_are_those_of_its_greedy_tokens(objective, full):
    gpt = make_gpt(ONE_LAYER, objective=objective)
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
    gpt = make_gpt(ONE_LAYER, objective=AnswersAfter(token=3))
    session = ScalarEngine().session(gpt, SGD(), OpTable())
    tokens, lengths = np.array([[10, 1, 2, 10]]), np.array([3])
    found = session.measure(session.init(gpt.initial_weights(0), {}), tokens, lengths, METRICS)
    assert found.shares() == {} and found.counted == found.nats == 0.0


def sliced(metric, *by, whole=True):
    return Sliced(metric, tuple(by), whole)


def test_slices_and_ratios_by_hand():
    """Documents of 5 predictions and of 2, in one row, and one that has a row to itself."""
    lengths = np.array([5, 2, 1])
    tokens = np.array([[9, 0, 1, 0, 2, 1], [9, 2, 9, 9, 9, 9], [9, 1, 9, 9, 9, 9]])
    documents = np.array([[0, 0, 0, 0, 0, 1, 1], [2, -1, -1, -1, -1, -1, -1]])
    positions = np.array([[0, 1, 2, 3, 4, 0, 1], [0, 0, 0, 0, 0, 0, 0]])
    right = np.array([[1, 0, 1, 1, 0, 1, 1], [1, 7, 7, 7, 7, 7, 7]])
    counts = np.array([[1, 1, 2, 1, 1, 1, 0], [1, 9, 9, 9, 9, 9, 9]])
    by = ("length", Length()), ("position", Position())
    table = Frequency((0, 3, 1, 1, 1, 1, 1, 1, 1, 1))
    metrics = {
        "a": sliced(Accuracy(), *by),
        "e": sliced(ExactMatch(), ("e/length", Length())),
        "f": sliced(LossByFrequency(), ("f", table), whole=False),
        "r": sliced(BitsPerByteOf((), (), 9), ("r/length", Length())),
    }
    found = Gathering(tokens, lengths, tuple(metrics.items()))
    for name in metrics:
        found.metric(name, documents, positions, right, counts)
    assert found.measured().shares() == {
        "a": 6 / 8,
        "length/1-4": 2 / 2,
        "length/5-8": 4 / 6,
        "position/1-4": 6 / 7,  # the first four of the first document, and all of the others
        "position/5-8": 0 / 1,
        "e": 2 / 3,
        "e/length/1-4": 2 / 2,
        "e/length/5-8": 0 / 1,
        "f/rare": (1 + 2) / (1 + 2),  # targets 0: positions 0 and 2 of the first
        "f/uncommon": (1 + 1) / (1 + 1),  # targets 2 and 9, of which the end of the second does not count
        "f/frequent": (0 + 0 + 1) / 3,
        "r": 6 / 8,  # right adds up as it is: 3 + 2 + 1
        "r/length/1-4": 3 / 2,
        "r/length/5-8": 3 / 6,
    }


@pytest.mark.parametrize("objective", [NextToken(), AnswersAfter(token=3)])
def test_both_engines_slice_alike_and_slices_add_up_to_the_whole(objective):
    gpt = make_gpt(ONE_LAYER, objective=objective)
    batches = random_batches(gpt, 1, 30)
    tokens, lengths = batches.tokens[0], batches.lengths[0]
    assert shared_rows(lengths, tokens.shape[1] - 1) is not None
    frequency = Frequency.of(np.arange(11) ** 2)
    by = ("length", Length()), ("position", Position()), ("frequency", frequency)
    bits = BitsPerByteOf(tuple(range(11)), tuple(range(1, 12)), 10)
    metrics = (
        ("bits", sliced(bits, *((f"bits/{name}", how) for name, how in by))),
        ("loss", sliced(LossByFrequency(), ("loss", frequency), whole=False)),
    )
    weights = gpt.initial_weights(0)
    one, other = (
        (session := engine.session(gpt, SGD(), OpTable())).measure(
            session.init(weights, {}), tokens, lengths, metrics
        )
        for engine in (ScalarEngine(), XlaEngine("float64"))
    )
    assert one.shares() == pytest.approx(other.shares(), abs=1e-10)
    sizes = [
        (bits.first if token == 10 else bits.later)[target]
        for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)
        for t in range(length)
        for token, target in [(row[t], row[t + 1])]
        if not isinstance(objective, AnswersAfter) or 3 in row[: t + 1]
    ]
    assert one.shares()["bits"] == pytest.approx(one.nats.sum() / np.log(2) / sum(sizes))
    for begin, whole in (("bits/length", "bits"), ("bits/position", "bits"), ("bits/frequency", "bits")):
        parts = np.array([sums for name, sums in one.slices.items() if name.startswith(f"{begin}/")])
        np.testing.assert_allclose(parts.sum(0), [array.sum() for array in one.metrics[whole]], rtol=1e-12)
    of_loss = np.array([sums for name, sums in one.slices.items() if name.startswith("loss/")])
    np.testing.assert_allclose(of_loss.sum(0), [one.nats.sum(), one.counted.sum()], rtol=1e-12)
    assert "loss" not in one.shares() and "loss/frequent" in one.shares()


def test_a_program_is_known_by_the_metric_not_by_its_slices():
    """Token frequencies differ between the seeds of a sweep, which compile once."""
    some = (("a", sliced(Accuracy(), ("a", Frequency((0, 1))))), ("e", ExactMatch()))
    assert unsliced(some) == (("a", Accuracy()), ("e", ExactMatch()))
