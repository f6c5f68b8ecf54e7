"""train.accumulate: a step in parts gives what it gives at once."""

import numpy as np
import pytest

from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines.engine import Batches
from gptlab.engines.packing import PassShape, choose_shape
from gptlab.engines.xla import XlaEngine
from gptlab.launch.experiment import Experiment
from gptlab.optim.optimizers import Adam
from tests.models import ONE_LAYER, assert_same_run, make_gpt, random_batches

STEPS, BATCH = 10, 12


def run(parts, population, ops=None, **changes):
    gpt, optimizer = make_gpt(ONE_LAYER, **changes), Adam()
    batches = random_batches(gpt, STEPS, BATCH)
    session = XlaEngine("float64").session(gpt, optimizer, ops or OpTable(), accumulate=parts)
    weights = gpt.initial_weights(0)
    chunk = Batches(batches.tokens, batches.lengths, population)
    state, metrics = session.train(
        session.init(weights, optimizer.init(weights)), chunk, np.full(STEPS, 0.01)
    )
    return session.export(state), metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"dropout": 0.2, "marked": True}, {"ops": OpTable({"mul": BUILTIN_OPS["maximum"]}), "nothing": 0}],
    ids=["standard", "dropout and answers", "swapped"],
)
def test_a_step_in_parts_is_the_step_at_once_to_rounding(changes):
    changes = {name: value for name, value in changes.items() if name != "nothing"}
    lengths = np.random.default_rng(0).integers(1, 7, 500)
    whole = run(1, None, **changes)
    for population in (lengths, np.full(500, 6)):
        for parts in (2, 5, BATCH):
            assert_same_run(run(parts, population, **changes), whole, rtol=1e-9)


def test_a_pass_has_so_much_less_in_it():
    full = np.full(1000, 12)
    assert choose_shape(full, 16, 12) is None
    assert [choose_shape(full, 16, 12, n) for n in (2, 4, 5, 16)] == [PassShape(r, 12) for r in (8, 4, 4, 1)]
    short = np.random.default_rng(0).integers(2, 13, 1000)
    shapes = [choose_shape(short, 32, 12, parts) for parts in (1, 2, 4)]
    whole, half, quarter = (shape.rows * shape.width for shape in shapes if shape is not None)
    assert whole > 1.2 * half > 1.2 * 1.5 * quarter and quarter <= 32 * 12 / 4


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["engine=scalar"],
            "train.accumulate needs an engine that computes a step in parts: engine=scalar does not",
        ),
        (["train.batchSize=3"], "train.accumulate must be at most train.batchSize, 3: got 4"),
        (["train.accumulate=0"], "train.accumulate must be at least 1: got 0"),
    ],
)
def test_what_cannot_be_is_refused(overrides, words):
    from gptlab.command.composing import compose, prepared
    from gptlab.config.schema import plain
    from gptlab.config.typed import Config, typed
    from gptlab.errors import UserError

    registry = prepared().registry
    config = typed(Config, plain(compose("train", ["data=questions", "train.accumulate=4", *overrides])))
    with pytest.raises(UserError, match=words):
        Experiment.of(config, registry).session  # noqa: B018
