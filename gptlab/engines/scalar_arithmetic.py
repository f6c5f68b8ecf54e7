"""The scalar engine's arithmetic: numpy arrays of Values, of floats, or of both.

A float is a constant: what is made of floats alone is a float again and leaves no node, so that the
same code evaluates a model (weights as floats) and builds its graph (weights as Values). An array in
which there can be no Value has the dtype float64, any other the dtype object.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import compress, repeat
from typing import Any

import numpy as np

from gptlab.autograd.numbers import FLOATS, call
from gptlab.autograd.op import Op
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.autograd.product import DATA, GRAD, MatrixProduct, folded_product
from gptlab.autograd.tensor import Arithmetic
from gptlab.autograd.value import Node, Value, apply

OWN = frozenset(BUILTIN_OPS.values())
# What numpy computes of many numbers to the same bits as Python of one.
EXACT = {BUILTIN_OPS[name] for name in ("add", "mul", "relu", "maximum")}


class ScalarArithmetic(Arithmetic):
    """`fuse`: a dot product, a sum, a difference and a quotient are one node each where ops are standard."""

    xp = np

    def __init__(self, ops: OpTable, fuse: bool = True):
        super().__init__(ops)
        self.fuse = fuse
        self.fuse_sum = fuse and ops.standard("add")
        self.fuse_dot = fuse and ops.standard("add", "mul")
        self.fuse_divide = fuse and ops.standard("mul", "pow")

    def constant(self, values: Any) -> np.ndarray:
        return np.asarray(values, dtype=float)

    def apply(self, name: str, *xs: Any) -> np.ndarray:
        op = self.ops[name]
        if op in EXACT and all(is_constant(x) for x in xs):
            with np.errstate(all="ignore"):
                return np.asarray(op.forward(np, *xs)[0])
        return elementwise(lambda *columns: nodes(op, *columns), *xs)

    def fold(self, name: str, x: np.ndarray, axis: int, mask: Any = None) -> np.ndarray:
        op = self.ops[name]
        if name == "add" and self.fuse_sum:
            return along(sum_node, x, axis, mask)
        if mask is None and x.shape[axis]:
            lines = np.moveaxis(x, axis, 0)
            return reduce(lambda a, b: self.apply(name, a, b), (lines[k, ...] for k in range(len(lines))))
        return along(
            lambda terms: reduce(lambda a, b: node(op, a, b), terms) if terms else 0.0, x, axis, mask
        )

    def where(self, condition: Any, x: Any, y: Any) -> np.ndarray:
        return np.where(condition, as_array(x), as_array(y))

    def largest(self, x: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(data_of(x).max(axis=axis, keepdims=True))

    def argmax(self, x: np.ndarray, axis: int) -> np.ndarray:
        return data_of(x).argmax(axis=axis)

    def pick(self, x: np.ndarray, indices: Any) -> np.ndarray:
        return x[np.arange(len(indices)), indices]

    def index(self, x: np.ndarray, index: Any) -> np.ndarray:
        return as_array(x[index])

    def subtract(self, x: Any, y: Any) -> np.ndarray:
        return elementwise(differences, x, y) if self.fuse_dot else super().subtract(x, y)

    def true_difference(self, x: Any, y: Any) -> np.ndarray:
        return elementwise(differences if self.fuse else textbook_differences, x, y)

    def divide(self, x: Any, y: Any) -> np.ndarray:
        if not self.fuse_divide:
            return super().divide(x, y)
        return elementwise(lambda *columns: list(map(quotient, *columns)), x, y)

    def matmul(self, x: np.ndarray, w: np.ndarray, mask: Any = None) -> np.ndarray:
        if not self.fuse_dot:
            return super().matmul(x, w, mask)
        kept = None if mask is None else np.broadcast_to(mask, x.shape[-2:])
        batch = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
        if not batch:
            return matrix_product(x, w, kept)
        x = np.broadcast_to(x, batch + x.shape[-2:]).reshape(-1, *x.shape[-2:])
        w = np.broadcast_to(w, batch + w.shape[-2:]).reshape(-1, *w.shape[-2:])
        products = [matrix_product(a, b, kept) for a, b in zip(x, w, strict=True)]
        return np.stack(products).reshape(*batch, *products[0].shape)


def matrix_product(x: np.ndarray, w: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """(N, K) @ (K, M); where `kept` (N, K) is False an entry of x takes no part."""
    if is_constant(x) and is_constant(w):
        return folded_product(data_of(x), data_of(w), kept)
    used = x if kept is None else x[kept]
    if only_values(used.ravel().tolist()) and only_values(w.ravel().tolist()):
        return MatrixProduct(x, w, data_of(x), kept).entries()
    x_data, w_data = data_of(x), data_of(w)
    products = folded_product(x_data, w_data, kept)
    out = np.empty(products.shape, dtype=object)
    for i, j in np.ndindex(products.shape):
        part = slice(None) if kept is None else kept[i]
        inputs = (*x[i, part].tolist(), *w[part, j].tolist())
        local_grads = (*w_data[part, j].tolist(), *x_data[i, part].tolist())
        out[i, j] = with_children(products[i, j].item(), inputs, local_grads, "dot")
    return out


def with_children(data: float, inputs: tuple[Any, ...], local_grads: tuple[float, ...], op: str) -> Any:
    """A node whose children are the Values among the inputs; a float if there are none."""
    kept = [(x, g) for x, g in zip(inputs, local_grads, strict=True) if isinstance(x, Value)]
    return Node(data, tuple([x for x, _ in kept]), tuple([g for _, g in kept]), op) if kept else data


def node(op: Op, *xs: Any) -> Any:
    """The op's node; a float if nothing in it is a Value."""
    for x in xs:
        if isinstance(x, Value):
            return apply(op, *xs)
    return call(op, *xs)[0]


def nodes(op: Op, *columns: list[Any]) -> list[Any]:
    """The op's node of the first entries, of the second ones, ... of columns of equal length."""
    numbers = [numbers_of(column) for column in columns]
    forward = op.forward
    try:
        results = list(map(forward, repeat(FLOATS), *numbers))
        if op not in OWN and complex in (type(y) for y, _ in results):
            raise ValueError  # as `call` says
    except (ArithmeticError, ValueError):
        results = [call(op, *xs) for xs in zip(*numbers, strict=True)]
    if all(map(only_values, columns)):
        name = op.name
        return [
            Node(y, xs, tuple(grads), name)
            for (y, grads), xs in zip(results, zip(*columns, strict=True), strict=True)
        ]
    return [
        Node(y, tuple([x if isinstance(x, Value) else Value(float(x)) for x in xs]), tuple(grads), op.name)
        if any(isinstance(x, Value) for x in xs)
        else y
        for (y, grads), xs in zip(results, zip(*columns, strict=True), strict=True)
    ]


def sum_node(xs: list[Any]) -> Any:
    inputs = xs if only_values(xs) else [x for x in xs if isinstance(x, Value)]
    total = sum(numbers_of(xs))
    return Node(total, tuple(inputs), (1.0,) * len(inputs), "sum") if inputs else total


def differences(xs: list[Any], ys: list[Any]) -> list[Any]:
    if only_values(xs) and not any_value(ys):
        return [Node(x.data - y, (x,), (1.0,), "sub") for x, y in zip(xs, ys, strict=True)]
    return [
        with_children(number_of(x) - number_of(y), (x, y), (1.0, -1.0), "sub")
        for x, y in zip(xs, ys, strict=True)
    ]


def textbook_differences(xs: list[Any], ys: list[Any]) -> list[Any]:
    return nodes(BUILTIN_OPS["add"], xs, nodes(BUILTIN_OPS["mul"], ys, [-1.0] * len(ys)))


def quotient(x: Any, y: Any) -> Any:
    a, b = number_of(x), number_of(y)
    try:
        result, local_grads = a / b, (1.0 / b, -a / (b * b))
    except ZeroDivisionError:
        with np.errstate(all="ignore"):
            a, b = np.float64(a), np.float64(b)
            result, local_grads = float(a / b), (float(1.0 / b), float(-a / (b * b)))
    return with_children(result, (x, y), local_grads, "div")


def elementwise(function: Callable[..., list[Any]], *xs: Any) -> np.ndarray:
    """`function` of the entries of all xs, broadcast: one list for each of them, and gives one."""
    arrays = np.broadcast_arrays(*map(as_array, xs)) if len(xs) > 1 else [as_array(xs[0])]
    made = function(*[array.ravel().tolist() for array in arrays])
    if all(map(is_constant, arrays)):
        return np.array(made, dtype=float).reshape(arrays[0].shape)
    out = np.empty(arrays[0].shape, dtype=object)
    out.flat[:] = made
    return out


def along(function: Any, x: np.ndarray, axis: int, mask: Any = None) -> np.ndarray:
    """`function` of each line along the axis: the list of its entries, where the mask is True."""
    lines = np.moveaxis(x, axis, -1)
    out = np.empty(lines.shape[:-1], dtype=x.dtype)
    rows = lines.reshape(out.size, -1).tolist()
    if mask is not None:
        kept = np.moveaxis(np.broadcast_to(mask, x.shape), axis, -1).reshape(out.size, -1).tolist()
        rows = [list(compress(row, chosen)) for row, chosen in zip(rows, kept, strict=True)]
    out.flat[:] = [function(row) for row in rows]
    return out


def as_array(x: Any) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else np.array(x, dtype=object if isinstance(x, Value) else float)


def is_constant(x: Any) -> bool:
    """True if there can be no Value in it."""
    return x.dtype != object if isinstance(x, np.ndarray) else not isinstance(x, Value)


def number_of(x: Any) -> float:
    return x.data if isinstance(x, Value) else x


def numbers_of(xs: Sequence[Any]) -> list[float]:
    if only_values(xs):
        return list(map(DATA, xs))
    return [x.data if isinstance(x, Value) else x for x in xs]


def any_value(xs: Iterable[Any]) -> bool:
    return any(issubclass(kind, Value) for kind in set(map(type, xs)))


def only_values(xs: Iterable[Any]) -> bool:
    return all(issubclass(kind, Value) for kind in set(map(type, xs)))


def data_of(x: np.ndarray) -> np.ndarray:
    """The numbers of an array as float64."""
    if is_constant(x):
        return np.asarray(x, dtype=float)
    return np.array(numbers_of(x.ravel().tolist()), dtype=float).reshape(x.shape)


def grads_of(values: np.ndarray) -> np.ndarray:
    """The gradients of an array of Values."""
    return np.fromiter(map(GRAD, values.ravel().tolist()), float, values.size).reshape(values.shape)


def as_values(numbers: np.ndarray) -> np.ndarray:
    """A new leaf Value for each number, in an object array of the same shape."""
    out = np.empty(numbers.shape, dtype=object)
    out.flat[:] = [Value(x) for x in numbers.ravel().tolist()]
    return out
