"""Rates by name: each weight is moved as by its own learning rate, whatever the optimizer, on both engines."""

from dataclasses import dataclass

import numpy as np
import pytest

from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import SGD, Adam, AdamW
from gptlab.optim.rates import RatesByName, rates_by_name
from tests.models import assert_same_run, make_gpt, trained


@dataclass(frozen=True)
class Normed:
    """SGD by the norm of all gradients, which it counts: an optimizer that looks at all weights."""

    def init(self, params):
        return {"norms": {name: np.zeros(1) for name in params}, "all": {"count": np.zeros(1)}}

    def update(self, xp, params, grads, state, step, learningRate):
        norm = xp.sqrt(sum(xp.sum(g * g) for g in grads.values()))
        norms = {name: array + norm * learningRate for name, array in state["norms"].items()}
        moved = {name: p - learningRate * grads[name] / norm for name, p in params.items()}
        return moved, {"norms": norms, "all": {"count": state["all"]["count"] + 1}}


@pytest.mark.parametrize("optimizer", [Adam(), AdamW(weightDecay=0.1), SGD(momentum=0.5), Normed()], ids=repr)
def test_each_weight_is_moved_by_its_own_rate(optimizer):
    generator = np.random.default_rng(0)
    params = {name: generator.standard_normal((3, 2)) for name in "abc"}
    grads = {name: generator.standard_normal((3, 2)) for name in "abc"}
    wrapped = rates_by_name(optimizer, {"b": 0.25, "c": 1.0, "other": 7.0})
    state = wrapped.init(params)
    found, kept = wrapped.update(np, params, grads, state, 1, 0.1)
    for name, rate in {"a": 0.1, "b": 0.025, "c": 0.1}.items():
        expected, moments = optimizer.update(np, params, grads, optimizer.init(params), 1, rate)
        assert (found[name] == expected[name]).all()
        for key, named in moments.items():
            if name in named:
                assert (kept[key][name] == named[name]).all()
    assert list(found) == list(params)
    assert {key: list(named) for key, named in kept.items()} == {k: list(named) for k, named in state.items()}
    if isinstance(optimizer, Normed):
        assert kept["all"]["count"] == 1


def test_factors_of_one_wrap_nothing():
    assert rates_by_name(Adam(), {"a": 1.0}) == Adam()


def test_both_engines_agree():
    optimizer = RatesByName(Adam(), (("output", 0.25), ("layers.0.mlp.hidden", 3.0)))
    gpt = make_gpt()
    found = [
        trained(engine, gpt, 5, optimizer=optimizer) for engine in (ScalarEngine(), XlaEngine("float64"))
    ]
    assert_same_run(*found, rtol=1e-10)
    plain, _ = trained(ScalarEngine(), gpt, 5)
    assert not np.allclose(plain.weights["output"], found[0][0].weights["output"])
