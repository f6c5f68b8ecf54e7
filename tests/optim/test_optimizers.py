"""Optimizers: every registered one through the same tests, and the built-in ones against plain Python."""

import math
from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gptlab.engines.engine import runtime_fields, with_fields
from gptlab.errors import UserError
from gptlab.optim.optimizers import SGD, Adam, AdamW
from gptlab.plugins.loading import load_plugins

REGISTRY = load_plugins(discover=False).registry
NAMES = REGISTRY.names("optimizer")
FLOAT_FIELDS = [
    (name, field.name)
    for name in NAMES
    for field in fields(REGISTRY.get("optimizer", name))
    if isinstance(field.default, float)
]
SHAPES = {"matrix": (3, 4), "scale": (5,)}


def random_arrays(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape) for name, shape in SHAPES.items()}


def steps_of(optimizer, xp=np, steps=10, rate=0.05, params=None, gradient=None):
    """The params and the state after steps with gradients that `gradient(params, step)` gives."""
    gradient = gradient or (lambda params, step: random_arrays(step))
    params = params or random_arrays(0)
    state = optimizer.init(params)
    for step in range(1, steps + 1):
        params, state = optimizer.update(xp, params, gradient(params, step), state, step, rate)
    return params, state


def leaves(params, state):
    """Every array of both by a name of its own."""
    moments = {f"{key}.{name}": np.asarray(a) for key, named in state.items() for name, a in named.items()}
    return {name: np.asarray(array) for name, array in params.items()} | moments


def frozen(arrays):
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


@pytest.mark.parametrize("name", NAMES)
def test_it_is_pure(name):
    optimizer = REGISTRY.get("optimizer", name)()
    params, grads = frozen(random_arrays(0)), frozen(random_arrays(1))
    state = {key: frozen(named) for key, named in optimizer.init(params).items()}
    before = {key: array.copy() for key, array in leaves(params, state).items()}
    moved, next_state = optimizer.update(np, params, grads, state, 1, 0.1)
    assert all((before[key] == array).all() for key, array in leaves(params, state).items())
    assert all((grads[key] == array).all() for key, array in random_arrays(1).items())
    assert all((moved[key] != params[key]).any() for key in params)
    assert next_state is not state


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_names_shapes_and_dtypes(name):
    params = {key: array.astype(np.float32) for key, array in random_arrays(0).items()}
    optimizer = REGISTRY.get("optimizer", name)()
    state = optimizer.init(params)
    described = {key: (array.shape, array.dtype) for key, array in leaves(params, state).items()}
    one, grads = jnp.float32(1), {key: jnp.asarray(array) for key, array in params.items()}
    moved = optimizer.update(jnp, grads, grads, state, one, jnp.float32(0.1))
    assert {key: (array.shape, array.dtype) for key, array in leaves(*moved).items()} == described


@pytest.mark.parametrize("name", NAMES)
def test_it_repeats_to_the_bit(name):
    runs = [leaves(*steps_of(REGISTRY.get("optimizer", name)())) for _ in range(2)]
    assert all(array.tobytes() == runs[1][key].tobytes() for key, array in runs[0].items())


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_again_in_the_middle_to_the_bit(name):
    optimizer = REGISTRY.get("optimizer", name)()
    params, state = steps_of(optimizer, steps=4)
    for step in range(5, 11):
        params, state = optimizer.update(np, params, random_arrays(step), state, step, 0.05)
    whole = leaves(*steps_of(optimizer))
    assert all(array.tobytes() == whole[key].tobytes() for key, array in leaves(params, state).items())


@pytest.mark.parametrize("name", NAMES)
def test_it_converges_on_a_quadratic(name):
    optimizer, target = REGISTRY.get("optimizer", name)(), random_arrays(7)
    stiffness = {key: np.linspace(0.5, 2.0, array.size).reshape(array.shape) for key, array in target.items()}

    def loss(params):
        return sum(float(np.sum(stiffness[k] * (params[k] - target[k]) ** 2)) / 2 for k in params)

    params = random_arrays(0)
    start, state = loss(params), optimizer.init(params)
    for step in range(1, 301):
        grads = {key: stiffness[key] * (params[key] - target[key]) for key in params}
        params, state = optimizer.update(np, params, grads, state, step, 0.1 * (1 - step / 301))
    assert loss(params) < 1e-3 * start


@pytest.mark.parametrize("name", NAMES)
def test_numpy_and_jax_agree_in_float64(name):
    optimizer = REGISTRY.get("optimizer", name)()
    expected = leaves(*steps_of(optimizer))
    with jax.enable_x64(True):
        found = leaves(*steps_of(optimizer, jnp))
    for key, array in expected.items():
        assert found[key].dtype == np.float64
        np.testing.assert_allclose(found[key], array, rtol=1e-12, atol=1e-15, err_msg=key)


@pytest.mark.parametrize(("name", "field"), FLOAT_FIELDS, ids=[f"{n}.{f}" for n, f in FLOAT_FIELDS])
def test_a_float_field_is_an_input_of_the_compiled_step_and_matters(name, field):
    optimizer, traces = REGISTRY.get("optimizer", name)(), []

    @jax.jit
    def compiled(hyper, rate):
        traces.append(1)
        return steps_of(with_fields(optimizer, hyper), jnp, 3, rate)

    results = []
    with jax.enable_x64(True):
        for value in (getattr(optimizer, field), 0.9 * getattr(optimizer, field) + 0.01):
            hyper = {**runtime_fields(optimizer), field: value}
            results.append(leaves(*compiled(hyper, 0.05)))
            expected = leaves(*steps_of(with_fields(optimizer, hyper), steps=3))
            for key, array in expected.items():
                np.testing.assert_allclose(results[-1][key], array, rtol=1e-12, atol=1e-15, err_msg=key)
    assert len(traces) == 1
    assert any((results[0][key] != results[1][key]).any() for key in SHAPES)


def plain_adam(numbers, gradients, rate, beta1, beta2, epsilon, decay=0.0):
    """Kingma and Ba's algorithm 1 on a list of floats, with Loshchilov and Hutter's decay."""
    m, v = [0.0] * len(numbers), [0.0] * len(numbers)
    for t, grads in enumerate(gradients, start=1):
        for i, g in enumerate(grads):
            numbers[i] -= rate * decay * numbers[i]
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            numbers[i] -= rate * (m[i] / (1 - beta1**t)) / (math.sqrt(v[i] / (1 - beta2**t)) + epsilon)
    return numbers


def plain_sgd(numbers, gradients, rate, momentum):
    velocity = [0.0] * len(numbers)
    for grads in gradients:
        for i, g in enumerate(grads):
            velocity[i] = momentum * velocity[i] + g
            numbers[i] -= rate * velocity[i]
    return numbers


REFERENCES = {
    "adam": (Adam(0.85, 0.99, 1e-8), lambda x, g: plain_adam(x, g, 0.05, 0.85, 0.99, 1e-8)),
    "adam-large-eps": (Adam(0.9, 0.95, 0.1), lambda x, g: plain_adam(x, g, 0.05, 0.9, 0.95, 0.1)),
    "adamw": (
        AdamW(0.85, 0.99, 1e-8, weightDecay=0.3),
        lambda x, g: plain_adam(x, g, 0.05, 0.85, 0.99, 1e-8, 0.3),
    ),
    "sgd": (SGD(), lambda x, g: plain_sgd(x, g, 0.05, 0.0)),
    "sgd-momentum": (SGD(momentum=0.9), lambda x, g: plain_sgd(x, g, 0.05, 0.9)),
}


@pytest.mark.parametrize(("optimizer", "reference"), REFERENCES.values(), ids=REFERENCES.keys())
def test_20_steps_are_those_of_plain_python(optimizer, reference):
    params, _ = steps_of(optimizer, steps=20)
    gradients = [random_arrays(step)["matrix"].ravel().tolist() for step in range(1, 21)]
    expected = reference(random_arrays(0)["matrix"].ravel().tolist(), gradients)
    np.testing.assert_allclose(params["matrix"].ravel(), expected, rtol=1e-12)


def test_adamw_decays_matrices_by_exactly_rate_times_decay_and_leaves_scales():
    nothing = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    params, _ = steps_of(AdamW(weightDecay=0.5), steps=1, rate=0.1, gradient=lambda params, step: nothing)
    np.testing.assert_allclose(params["matrix"], random_arrays(0)["matrix"] * (1 - 0.1 * 0.5), rtol=1e-15)
    assert (params["scale"] == random_arrays(0)["scale"]).all()
    with_decay, _ = steps_of(AdamW(weightDecay=0.5))
    without, _ = steps_of(Adam())
    assert (with_decay["scale"] == without["scale"]).all()
    assert (with_decay["matrix"] != without["matrix"]).all()


@pytest.mark.parametrize(("name", "field"), FLOAT_FIELDS, ids=[f"{n}.{f}" for n, f in FLOAT_FIELDS])
@pytest.mark.parametrize("value", [math.nan, -0.1, math.inf], ids=str)
def test_a_field_out_of_range_is_refused_by_its_key_with_an_example(name, field, value):
    with pytest.raises(
        UserError, match=rf"^optimizer\.{field} must be .*got {value}\. Try optimizer\.{field}="
    ):
        REGISTRY.get("optimizer", name)(**{field: value})


@pytest.mark.parametrize(
    ("make", "key"),
    [(lambda: Adam(beta1=1.0), "beta1"), (lambda: AdamW(beta2=1.0), "beta2"), (lambda: SGD(1.0), "momentum")],
    ids=["beta1", "beta2", "momentum"],
)
def test_a_share_of_1_is_refused(make, key):
    with pytest.raises(UserError, match=rf"^optimizer\.{key} must be at least 0 and below 1: got 1\.0"):
        make()
