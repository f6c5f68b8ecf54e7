"""The trial on shapes says of every method of Tensor what both engines give, or refuses what they do not."""

import jax
import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.model.trial import ShapeArithmetic, zeros

SHAPES = [(3,), (1, 3), (3, 1), (3, 3), (2, 3), (3, 2), (2, 3, 3), (3, 2, 3), (1, 3, 2), (2, 1, 3, 3)]
INDICES = [np.zeros(shape, dtype=int) for shape in [(), (2,), (3, 2), (2, 1, 2)]]
REFUSED = ("reshape 4", "pick 2", "masked more")
OF_ONE = {
    "T": lambda x: x.T,
    "apply": lambda x: x.apply("exp"),
    "negative": lambda x: -x,
    "numbers": lambda x: (2 - x) / 3 + 1 / x**2,
    "constant": lambda x: x.constant([[1.0, 2.0]]),
    "largest": lambda x: x.largest(),
    "largest 0": lambda x: x.largest(0),
    "sum": lambda x: x.sum(),
    "sum 0": lambda x: x.sum(0, keepdims=True),
    "sum -2": lambda x: x.sum(-2),
    "mean": lambda x: x.mean(0),
    "mean keep": lambda x: x.mean(keepdims=True),
    "masked": lambda x: x.sum(mask=np.ones(x.shape, dtype=bool)),
    "masked row": lambda x: x.sum(0, mask=np.ones(x.shape[-1:], dtype=bool)),
    "masked more": lambda x: x.sum(0, mask=np.ones((4, *x.shape), dtype=bool)),
    "softmax": lambda x: x.softmax(np.ones(x.shape, dtype=bool)),
    "softmax row": lambda x: x.softmax(np.ones(x.shape[-1:], dtype=bool)),
    "swapaxes": lambda x: x.swapaxes(0, -1),
    "swapaxes 1 2": lambda x: x.swapaxes(1, 2),
    "reshape": lambda x: x.reshape(-1, 3),
    "reshape 4": lambda x: x.reshape(4, -1),
    "index": lambda x: x[1:],
    "index one": lambda x: x[0],
    "index none": lambda x: x[None, ..., 0],
    "index array": lambda x: x[:, np.array([[0, 1], [1, 0]])],
    "argmax": lambda x: x.constant(x.argmax()),
    "argmax 0": lambda x: x.constant(x.argmax(0)),
    "pick": lambda x: x.pick(np.zeros(x.shape[0], dtype=int)),
    "pick fewer": lambda x: x.pick(np.zeros(1, dtype=int)),
    "pick 2": lambda x: x.pick(np.zeros((2, 2), dtype=int)),
    "cross_entropy": lambda x: x.cross_entropy(np.zeros(x.shape[0], dtype=int)),
    **{f"take {i.shape}": lambda x, i=i: x.take(i) for i in INDICES},
}
OF_TWO = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "apply 2": lambda x, y: x.apply("maximum", y),
    "minus": lambda x, y: x.minus(y),
    "where": lambda x, y: x.where(np.ones(x.shape, dtype=bool), y),
    "where row": lambda x, y: x.where(np.ones((4, 1, 1), dtype=bool), y),
    "@": lambda x, y: x @ y,
    "matmul masked": lambda x, y: x.matmul(y, np.ones(x.shape[-2:], dtype=bool)),
    "products": lambda x, y: x.products(y)[0],
    "two products": lambda x, y: x.products(y, y)[1],
    "concatenate": lambda x, y: x.concatenate(y),
    "concatenate 0": lambda x, y: x.concatenate(y, axis=0),
    "scores": lambda x, y: x.einsum("thd,shd->hts", y),
    "heads": lambda x, y: x.einsum("hts,shd->thd", y),
    "attend": lambda x, y: x.attend(y, np.ones(x.shape[1:], dtype=bool)),
}


def shape_of(function, arrays, arithmetic):
    """None if it is refused."""
    try:
        found = function(*[Tensor(array, arithmetic) for array in arrays])
    except Exception:
        return None
    return found.shape


def shape_in_xla(function, arrays):
    arithmetic = XlaArithmetic(OpTable(), "float64")
    try:
        return jax.eval_shape(lambda *xs: function(*[Tensor(x, arithmetic) for x in xs]).data, *arrays).shape
    except Exception:
        return None


def shapes_of(function, shapes):
    """By the trial, the scalar engine without and with Values, and the xla engine."""
    numbers = [np.full(shape, 0.5) for shape in shapes]
    scalar = ScalarArithmetic(OpTable())
    with jax.enable_x64(True):
        xla = shape_in_xla(function, numbers)
    return (
        shape_of(function, [zeros(shape) for shape in shapes], ShapeArithmetic(OpTable())),
        shape_of(function, numbers, scalar),
        shape_of(function, [as_values(a) for a in numbers], scalar),
        xla,
    )


def differing(function, cases):
    """What the trial says of shapes, and the engines; where an engine refuses, the trial must."""
    found = {}
    for shapes in cases:
        trial, *engines = shapes_of(function, shapes)
        wanted = None if None in engines else engines[0]
        if trial != wanted or (wanted is not None and len(set(engines)) > 1):
            found[shapes] = {"trial": trial, "engines": engines}
    return found


@pytest.mark.parametrize("name", OF_ONE)
def test_of_one_tensor(name):
    cases = [(shape,) for shape in SHAPES]
    assert any(shapes_of(OF_ONE[name], case)[0] is not None for case in cases) == (name not in REFUSED)
    assert differing(OF_ONE[name], cases) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_TWO)
def test_of_two_tensors(name):
    cases = [(one, other) for one in SHAPES for other in SHAPES]
    assert any(shapes_of(OF_TWO[name], case)[0] is not None for case in cases)
    assert differing(OF_TWO[name], cases) == {}
