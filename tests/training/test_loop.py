"""The training loop on tiny real sessions: what is logged, in which pieces, and what ends it."""

import math
from functools import partial

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.data.batches import Epochs
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import TrainingStopped
from gptlab.optim.optimizers import Adam
from gptlab.training import loop as training_module
from gptlab.training.loop import Plan, log_every
from tests.models import make_gpt
from tests.training.trainings import TINY, documents_of, make_training

ENGINES = {"xla": XlaEngine("float64"), "scalar": ScalarEngine()}
each_engine = pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())


def bits(training):
    """Everything that the state holds, to the bit."""
    state = training.session.export(training.state)
    moments = [array for named in state.optimizer.values() for array in named.values()]
    return state.step, [array.tobytes() for array in (*state.weights.values(), *moments)]


@pytest.mark.parametrize(
    ("numSteps", "logEvery", "evalEvery", "steps", "evaluated"),
    [
        (12, 5, 0, [1, 5, 10, 12], [12]),
        (12, 4, 0, [1, 4, 8, 12], [12]),
        (12, 1, 0, list(range(1, 13)), [12]),
        (12, 100, 5, [1, 5, 10, 12], [5, 10, 12]),
        (10, 3, 5, [1, 3, 5, 6, 9, 10], [5, 10]),
        (1, 10, 250, [1], [1]),
    ],
    ids=["last-added", "last-is-nth", "each", "evaluations", "evaluation-at-end-once", "one-step"],
)
def test_logged_are_the_first_each_nth_the_evaluated_and_the_last_step(
    numSteps, logEvery, evalEvery, steps, evaluated
):
    training, logged = make_training(ENGINES["scalar"], numSteps, logEvery, evalEvery)
    training.run()
    assert [step for step, _ in logged] == steps
    assert [step for step, metrics in logged if "val/loss" in metrics] == evaluated
    for _, metrics in logged:
        assert {"train/loss", "train/learningRate", "train/gradNorm"} <= set(metrics)
        assert all(math.isfinite(value) for value in metrics.values())


@each_engine
def test_an_evaluation_is_of_the_weights_after_its_step(engine):
    losses = {}

    def on_chunk(step, chunk):
        total, count = training.session.evaluate(training.state, held_out.tokens, held_out.lengths)
        losses[step] = total / count

    held_out = documents_of(5, seed=2)
    training, logged = make_training(engine, evalEvery=4, held_out=held_out, on_chunk=on_chunk)
    training.run()
    found = {step: metrics["val/loss"] for step, metrics in logged if "val/loss" in metrics}
    assert found == {step: losses[step] for step in (4, 8, 12)}
    assert len(set(found.values())) == 3
    perplexities = {step: metrics["val/perplexity"] for step, metrics in logged if step in found}
    assert perplexities == {step: math.exp(loss) for step, loss in found.items()}


def test_without_held_out_documents_nothing_is_evaluated():
    training, logged = make_training(ENGINES["scalar"], evalEvery=4, held_out=documents_of(3)[:0])
    training.run()
    assert [step for step, _ in logged] == [1, 4, 5, 8, 10, 12]
    assert not any(name.startswith("val/") for _, metrics in logged for name in metrics)


@pytest.mark.slow
@each_engine
@pytest.mark.usefixtures("optimized")
def test_how_the_steps_are_cut_into_chunks_changes_no_bit(engine, monkeypatch):
    results, chunks = [], []
    for quick, slow in ((-1.0, math.inf), (math.inf, math.inf)):
        monkeypatch.setattr(training_module, "QUICK", quick)
        monkeypatch.setattr(training_module, "SLOW", slow)
        training, logged = make_training(engine, logEvery=1, evalEvery=7, batchSize=2)
        training.run()
        rows = [{k: v for k, v in metrics.items() if k != "train/tokensPerSecond"} for _, metrics in logged]
        results.append((bits(training), rows))
        chunks.append(training.session.chunks)
    assert chunks == [[1] * 12, [1, 2, 4, 5]]
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_chunks_longer_than_one_compiled_call_change_no_bit(monkeypatch):
    gpt, optimizer, ends = make_gpt(TINY), Adam(), []
    weights, rates = gpt.initial_weights(0), np.full(10, 0.05)
    for longest in (1024, 4):
        monkeypatch.setattr("gptlab.engines.xla_chunks.CHUNK_STEPS", longest)
        session = ENGINES["xla"].session(gpt, optimizer, OpTable())
        state = session.init(weights, optimizer.init(weights))
        state, metrics = session.train(state, Epochs(documents_of(20), 1, 0).chunk(0, 10), rates)
        state = session.export(state)
        numbers = [metrics.loss, *state.weights.values()]
        ends.append((state.step, [array.tobytes() for array in numbers]))
    assert ends[0] == ends[1]


def test_the_speed_is_told_once_the_first_chunk_has_compiled():
    seen = []
    training, logged = make_training(ENGINES["scalar"], logEvery=1, on_chunk=lambda *told: seen.append(told))
    training.run()
    assert "train/tokensPerSecond" not in logged[0][1] and math.isnan(seen[0][1].tokens_per_second)
    assert all(metrics["train/tokensPerSecond"] > 0 for _, metrics in logged[1:])
    assert seen[-1][0] == 12 and seen[-1][1].tokens_per_second > 0


def test_what_a_step_takes_is_told_of_what_has_been_done_before(monkeypatch):
    monkeypatch.setattr(training_module, "QUICK", -1.0)  # chunks of one step
    seen = {}

    def on_chunk(step, chunk):
        seen[step] = chunk.seconds

    training, _ = make_training(ENGINES["scalar"], evalEvery=4, on_chunk=on_chunk)
    training.run()
    assert {step for step, seconds in seen.items() if math.isnan(seconds)} == {1, 4}
    assert len(seen) == 12 and all(seconds > 0 for seconds in seen.values() if not math.isnan(seconds))


def test_a_step_is_logged_though_its_evaluation_fails():
    training, logged = make_training(ENGINES["scalar"], logEvery=1, evalEvery=4)
    training.evaluate = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        training.run()
    assert [step for step, _ in logged] == [1, 2, 3, 4] and training.state.step == 4


@each_engine
@pytest.mark.parametrize("evalEvery", [0, 7], ids=["within-a-chunk", "at-an-evaluation"])
def test_a_loss_that_is_not_finite_stops_at_its_step_and_keeps_what_was_logged(engine, evalEvery):
    # Word 4 comes first in document 7, and its embedding is not a number.
    weights = make_gpt(TINY).initial_weights(0)
    weights["tokenEmbedding"][4] = math.nan
    train = documents_of(20)
    train.tokens[6, 1] = 4
    training, logged = make_training(engine, 12, 3, evalEvery, weights=weights, train=train)
    with pytest.raises(
        TrainingStopped, match=r"loss became nan at step 7\. Try .*train\.learningRate=0\.005"
    ):
        training.run()
    assert [step for step, _ in logged] == [1, 3, 6, 7]
    assert all(math.isfinite(metrics["train/loss"]) for step, metrics in logged if step < 7)
    assert math.isnan(logged[-1][1]["train/loss"]) and "val/loss" not in logged[-1][1]


@each_engine
def test_weights_that_break_in_the_last_step_stop_the_run_too(engine):
    training, logged = make_training(engine, numSteps=1)
    training.plan = Plan(1, math.inf, lambda step, numSteps: 1.0, 1, 0)
    with pytest.raises(TrainingStopped, match="the validation loss became nan at step 1"):
        training.run()
    assert [step for step, _ in logged] == [1] and math.isfinite(logged[0][1]["train/loss"])


class Enough(Exception):
    pass


def stop_after(polls: int) -> None:
    """What raises at the poll after so many."""
    left = iter(range(polls))

    def stop():
        if next(left, None) is None:
            raise Enough

    return stop


@each_engine
def test_a_stop_between_chunks_leaves_a_whole_state_from_which_the_rest_follows(engine):
    stopped, before = make_training(engine, poll=stop_after(2))
    with pytest.raises(Enough):
        stopped.run()
    done = sum(stopped.session.chunks)
    assert stopped.state.step == done and 2 <= done < 12
    assert [step for step, _ in before] == [step for step in (1, 5, 10) if step <= done]

    resumed, after = make_training(engine)
    state = stopped.session.export(stopped.state)
    resumed.state = resumed.session.init(state.weights, state.optimizer, state.step)
    resumed.run()
    whole, logged = make_training(engine)
    whole.run()
    assert bits(resumed) == bits(whole)
    assert [step for step, _ in before + after] == [step for step, _ in logged]
    assert stopped.session.rows + resumed.session.rows == whole.session.rows


@each_engine
def test_rates_follow_the_schedule_and_are_those_logged(engine):
    training, logged = make_training(engine, numSteps=9, logEvery=1)
    training.run()
    expected = [0.05 * (1 - step / 9) for step in range(9)]
    assert training.session.rates == expected
    assert [metrics["train/learningRate"] for _, metrics in logged] == expected


@pytest.mark.parametrize("batchSize", [1, 4])
def test_held_out_documents_are_never_trained_on_and_the_others_once_an_epoch(batchSize):
    documents = documents_of(25)
    train, held_out = documents[:20], documents[20:]
    training, _ = make_training(
        ENGINES["scalar"], 40 // batchSize, 100, 2, train=train, held_out=held_out, batchSize=batchSize
    )
    training.run()
    ordered = partial(sorted, key=tuple)
    assert ordered(training.session.rows[:20]) == ordered(train.tokens.tolist())
    assert ordered(training.session.rows[20:]) == ordered(train.tokens.tolist())
    assert not any(row in held_out.tokens.tolist() for row in training.session.rows)


@each_engine
def test_it_learns(engine):
    training, logged = make_training(engine, numSteps=60, logEvery=1, train=documents_of(1), batchSize=1)
    training.run()
    losses = [metrics["train/loss"] for _, metrics in logged]
    assert losses[0] == pytest.approx(math.log(TINY["vocabSize"]), rel=0.1)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("numSteps", [1, 3000, 10_000, 10_001, 30_000, 123_456, 10**7])
def test_where_nobody_says_how_often_a_run_has_hundreds_of_rows_and_not_many_thousands(numSteps):
    every = log_every(numSteps)
    assert numSteps / every <= 1000
    assert every == 10 or numSteps / every > 400
    assert str(every).rstrip("0") in ("1", "2", "5"), "a step that is easily read"
