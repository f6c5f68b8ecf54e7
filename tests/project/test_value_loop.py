"""The baseline in plain Python trains what gptlab trains, so that their times may be compared."""

import numpy as np
import pytest

from benchmarks import gptlab_engine
from benchmarks.baselines import value_loop
from benchmarks.baselines.value_loop import Value
from benchmarks.task import make_task
from gptlab.engines.scalar import ScalarEngine


@pytest.mark.slow
def test_it_gives_the_losses_of_the_scalar_engine():
    task, definition = make_task("names", nLayer=2, nEmbd=8, batchSize=2, nHead=2, blockSize=8)
    expected = gptlab_engine.trainer(task, definition, ScalarEngine())(20)
    run = value_loop.trainer(task)
    losses = np.concatenate([run(5), run(15)])  # state stays between calls
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    assert losses[-5:].mean() < losses[:5].mean()


def test_its_gradients_are_those_of_central_differences_and_depth_is_no_matter():
    def expression(x):
        return ((x * x + 1.5).log() - (x / (x + 4.0)).exp() ** 0.5) * (x * 0.7).relu()

    x, h = Value(1.3), 1e-6
    expression(x).backward()
    above, below = expression(Value(1.3 + h)).data, expression(Value(1.3 - h)).data
    assert x.grad == pytest.approx((above - below) / (2 * h), rel=1e-7)
    y = chain = Value(1.0)
    for _ in range(100_000):
        chain = chain + 1e-3
    chain.backward()
    assert y.grad == 1.0
