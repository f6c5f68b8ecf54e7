"""The example plugin schedulefree: the average, where the gradient is taken, and what is evaluated."""

import math

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, random_batches, trained

REGISTRY = load_plugins().registry
ScheduleFree = REGISTRY.get("optimizer", "schedulefree")
RATES = [0.01, 0.03, 0.1, 0.1, 0.05, 0.02, 0.02, 0.001]
ENGINES = {"scalar": ScalarEngine(), "xla": XlaEngine("float64")}


def steps_of(optimizer, seed=0):
    """Params and state before step 1 and after each step."""
    generator = np.random.default_rng(seed)
    params = {"matrix": generator.normal(size=(3, 4)), "vector": generator.normal(size=5)}
    state = optimizer.init(params)
    rows = [(params, state)]
    for step, rate in enumerate(RATES, start=1):
        grads = {name: generator.normal(size=array.shape) for name, array in params.items()}
        params, state = optimizer.update(np, params, grads, state, step, rate)
        rows.append((params, state))
    return rows


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("optimizer", "schedulefree") == "schedulefree"
    assert_passes("schedulefree")


def test_what_is_evaluated_is_the_average_of_z_by_the_square_of_the_rate():
    optimizer = ScheduleFree()
    rows = steps_of(optimizer)
    for count in (1, 3, len(RATES)):
        params, state = rows[count]
        evaluated = optimizer.evaluation_weights(np, params, state)
        assert list(evaluated) == list(params)
        for name, array in evaluated.items():
            zs = np.array([state["z"][name] for _, state in rows[1 : count + 1]])
            expected = np.average(zs, axis=0, weights=np.square(RATES[:count]))
            np.testing.assert_allclose(array, expected, rtol=1e-12)


@pytest.mark.parametrize("beta1", [0.0, 0.8])
def test_the_gradient_is_taken_between_z_and_the_average(beta1):
    for params, state in steps_of(ScheduleFree(beta1=beta1)):
        for name, y in params.items():
            expected = (1 - beta1) * state["z"][name] + beta1 * state["x"][name]
            np.testing.assert_allclose(y, expected, rtol=1e-12)


def plain(y, gradients, beta1, beta2, eps, decay):
    """Algorithm 1 on one number; the average at the end."""
    z, x, v, total = y, y, 0.0, 0.0
    for t, (g, rate) in enumerate(zip(gradients, RATES, strict=True), start=1):
        v = beta2 * v + (1 - beta2) * g * g
        z -= rate * (g / (math.sqrt(v / (1 - beta2**t)) + eps) + decay * y)
        total += rate * rate
        x += rate * rate / total * (z - x)
        y = (1 - beta1) * z + beta1 * x
    return x


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_its_steps_are_those_of_plain_python(decay):
    rows = steps_of(ScheduleFree(0.8, 0.95, 1e-3, decay))
    generator = np.random.default_rng(0)
    start = generator.normal(size=(3, 4)), generator.normal(size=5)
    grads = [(generator.normal(size=(3, 4)), generator.normal(size=5)) for _ in RATES]
    for i, (name, shrinks) in enumerate({"matrix": decay, "vector": 0.0}.items()):
        columns = np.array([pair[i].ravel() for pair in grads]).T.tolist()
        expected = [
            plain(number, column, 0.8, 0.95, 1e-3, shrinks)
            for number, column in zip(start[i].ravel().tolist(), columns, strict=True)
        ]
        np.testing.assert_allclose(rows[-1][1]["x"][name].ravel(), expected, rtol=1e-9)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
def test_an_engine_evaluates_the_average_and_trains_at_y(engine):
    gpt, optimizer = make_gpt(), ScheduleFree()
    session = engine.session(gpt, optimizer, OpTable())
    weights = gpt.initial_weights(0)
    state = session.init(weights, optimizer.init(weights))
    state, _ = session.train(state, random_batches(gpt, 2), np.array([0.01, 0.02]))
    trained_at, evaluated = session.export(state), session.export(session.for_evaluation(state))
    for name, array in evaluated.weights.items():
        np.testing.assert_array_equal(array, trained_at.optimizer["x"][name])
    assert any((trained_at.weights[name] != array).any() for name, array in evaluated.weights.items())


def test_both_engines_agree_over_5_steps():
    gpt = make_gpt()
    assert_same_run(*(trained(engine, gpt, 5, optimizer=ScheduleFree()) for engine in ENGINES.values()))


@pytest.mark.parametrize(
    ("field", "value"), [("beta1", 1.0), ("beta2", -0.1), ("epsAdam", 0.0), ("weightDecay", float("nan"))]
)
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(
        UserError, match=rf"^optimizer\.{field} must be .*got {value}\. Try optimizer\.{field}="
    ):
        ScheduleFree(**{field: value})
