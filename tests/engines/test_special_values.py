"""NaN, infinities, zeros and huge numbers: what the engines make of them is the same, gradients included."""

import itertools
import math
import warnings

import jax
import numpy as np
import pytest

import gptlab
from gptlab import Value
from gptlab.autograd.numbers import call
from gptlab.autograd.op import Op
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, data_of
from gptlab.engines.xla_arithmetic import XlaArithmetic, differentiable
from gptlab.plugins.loading import load_plugins

NAN, INF = math.nan, math.inf
# No number next to 0: XLA takes what is smaller than 2.2e-308 for 0.
NUMBERS = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.4, -0.5, 2.5, 1e200, -1e200, 1e-200]
REGISTRY = load_plugins(discover=False).registry
UNARY = [
    "exp",
    "log",
    "log1p",
    "expm1",
    "tanh",
    "sqrt",
    "sin",
    "cos",
    "abs",
    "log2",
    "exp2",
    "isnan",
    "isfinite",
]
UNARY += ["floor", "ceil", "round", "sign"]
BINARY = ["pow", "maximum", "minimum"]
BY_NUMPY = ["log10", "square", "reciprocal", "trunc", "arcsin"]  # of the names that `math` has no part in


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def points(arity):
    """An array for each input: all combinations."""
    return [np.array(column) for column in zip(*itertools.product(NUMBERS, repeat=arity), strict=True)]


def by_xla(function, columns):
    """The values, and the gradients to each input."""
    value, pull = jax.vjp(function, *map(jax.numpy.asarray, columns))
    return [np.asarray(value), *map(np.asarray, pull(np.ones_like(value)))]


def assert_same(ours, theirs, columns):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, err_msg=str(list(zip(*columns, strict=True))))


@pytest.mark.parametrize("name", REGISTRY.names("op"))
def test_an_op_is_the_same_on_both_engines(name):
    op = REGISTRY.get("op", name)
    columns = points(op.arity)
    ours = [call(op, *map(float, point)) for point in zip(*columns, strict=True)]
    assert_same(
        np.array([(y, *gradients) for y, gradients in ours]).T, by_xla(differentiable(op), columns), columns
    )


@pytest.mark.parametrize("name", [*UNARY, *BY_NUMPY, *BINARY])
def test_a_name_of_xp_is_the_same_on_both_engines_and_warns_of_nothing(name):
    arity = 2 if name in BINARY else 1
    columns = points(arity)
    op = Op(name, lambda xp, *xs: (getattr(xp, name)(*xs), (0.0,) * arity), arity)
    ours = [float(call(op, *map(float, point))[0]) for point in zip(*columns, strict=True)]
    assert_same([ours], [getattr(jax.numpy, name)(*columns)], columns)
    with np.errstate(all="ignore"):
        assert_same([ours], [getattr(np, name)(*columns)], columns)


@pytest.mark.parametrize("name", ["floor", "ceil", "round"])
def test_a_rounded_zero_keeps_its_sign(name):
    op = Op(name, lambda xp, x: (getattr(xp, name)(x), (0.0,)), 1)
    for number in (0.0, -0.0, 0.3, -0.3):
        assert math.copysign(1.0, call(op, number)[0]) == np.copysign(1.0, getattr(np, name)(number))


OPERATIONS = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": lambda x, y: x**y,
    "square": lambda x, y: x**2.0,
    "inverse": lambda x, y: x**-1.0,
    "to the 0": lambda x, y: x**0.0,
    "where": lambda x, y: x.where(np.arange(len(NUMBERS) ** 2) % 2 == 0, y),
    **{
        name: lambda x, y, name=name: x.apply(name, *(y,)[: BUILTIN_OPS[name].arity - 1])
        for name in BUILTIN_OPS
    },
}


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "textbook"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_tensors_of_values_of_constants_and_of_xla_are_the_same(operation, fuse):
    function, columns = OPERATIONS[operation], points(2)
    scalar, xla = ScalarArithmetic(OpTable(), fuse), XlaArithmetic(OpTable(), "float64")
    theirs = by_xla(lambda *xs: function(*(Tensor(x, xla) for x in xs)).data, columns)
    values = [as_values(column) for column in columns]
    with warnings.catch_warnings(action="error"):
        made = function(*(Tensor(x, scalar) for x in values)).data
        constant = function(*(Tensor(x, scalar) for x in columns)).data
        for value in made:
            value.backward()
    grads = [np.array([value.grad for value in column]) for column in values]
    assert_same([data_of(made), data_of(constant), *grads], [theirs[0], *theirs], columns)


@pytest.mark.parametrize("x", [NAN, INF, 0.0, -2.0, 3.0])
def test_a_number_to_the_0_is_1_and_does_not_depend_on_it(x):
    base = Value(x)
    (made := base**0).backward()
    assert (made.data, base.grad) == (1.0, 0.0)


def test_nan_goes_through_and_its_gradient_is_nan():
    for name in ("relu", "tanh", "exp", "log"):
        (made := getattr(x := Value(NAN), name)()).backward()
        assert math.isnan(made.data), name
        assert math.isnan(x.grad), name
    for a, b in ((NAN, 1.0), (1.0, NAN), (NAN, NAN)):
        value, gradients = call(BUILTIN_OPS["maximum"], a, b)
        assert math.isnan(value)
        assert all(map(math.isnan, gradients))


def test_what_python_makes_complex_is_nan_as_elsewhere():
    @gptlab.op(samples=[(2.0,)])
    def root(xp, a):
        return a**0.5, (0.5 * a**-0.5,)

    scalar = ScalarArithmetic(OpTable(others={"root": root}))
    made = Tensor(as_values(np.array([4.0, -4.0])), scalar).apply("root").data
    assert made[0].data == 2.0
    assert [type(value.data) for value in made] == [float, float]
    assert math.isnan(made[1].data)
    assert math.isnan(made[1].local_grads[0])
    assert math.isnan(call(root, -4.0)[0])
