"""The scalar engine's arithmetic: numpy object arrays whose entries are Values, or floats.

A float is a constant: what is made of floats alone is a float again and leaves no node, so that the
same code evaluates a model (weights as floats) and builds its graph (weights as Values).
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import mul as multiply
from typing import Any

import numpy as np

from gptlab.autograd.numbers import call
from gptlab.autograd.op import Op
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.autograd.tensor import Arrays
from gptlab.autograd.value import Value, apply


class ScalarArrays(Arrays):
    """`fuse`: a dot product, a sum, a difference and a quotient are one node each where ops are standard."""

    def __init__(self, ops: OpTable, fuse: bool = True):
        super().__init__(ops)
        self.fuse = fuse
        self.fuse_sum = fuse and ops.standard("add")
        self.fuse_dot = fuse and ops.standard("add", "mul")
        self.fuse_divide = fuse and ops.standard("mul", "pow")

    def constant(self, values: Any) -> np.ndarray:
        return np.asarray(values, dtype=float).astype(object)

    def apply(self, name: str, *xs: Any) -> np.ndarray:
        op = self.ops[name]
        return elementwise(lambda *numbers: node(op, *numbers), *xs)

    def fold(self, name: str, x: np.ndarray, axis: int, mask: Any = None) -> np.ndarray:
        op = self.ops[name]
        if name == "add" and self.fuse_sum:
            return along(sum_node, x, axis, mask)
        return along(
            lambda terms: reduce(lambda a, b: node(op, a, b), terms) if terms else 0.0, x, axis, mask
        )

    def where(self, condition: Any, x: Any, y: Any) -> np.ndarray:
        return np.where(condition, as_objects(x), as_objects(y))

    def largest(self, x: np.ndarray, axis: int) -> np.ndarray:
        return data_of(x).max(axis=axis, keepdims=True).astype(object)

    def argmax(self, x: np.ndarray, axis: int) -> np.ndarray:
        return data_of(x).argmax(axis=axis)

    def concatenate(self, xs: Sequence[np.ndarray], axis: int) -> np.ndarray:
        return np.concatenate(xs, axis)

    def pick(self, x: np.ndarray, indices: Any) -> np.ndarray:
        return x[np.arange(len(indices)), indices]

    def subtract(self, x: Any, y: Any) -> np.ndarray:
        return elementwise(difference, x, y) if self.fuse_dot else super().subtract(x, y)

    def true_difference(self, x: Any, y: Any) -> np.ndarray:
        return elementwise(difference if self.fuse else textbook_difference, x, y)

    def divide(self, x: Any, y: Any) -> np.ndarray:
        return elementwise(quotient, x, y) if self.fuse_divide else super().divide(x, y)

    def matmul(self, x: np.ndarray, w: np.ndarray, mask: Any = None) -> np.ndarray:
        if not self.fuse_dot:
            return super().matmul(x, w, mask)
        batch = np.broadcast_shapes(x.shape[:-2], w.shape[:-2])
        x = np.broadcast_to(x, batch + x.shape[-2:])
        w = np.broadcast_to(w, batch + w.shape[-2:])
        out = np.empty((*batch, x.shape[-2], w.shape[-1]), dtype=object)
        for index in np.ndindex(batch):
            if mask is None:
                out[index] = matrix_product(x[index], w[index])
            else:
                rows = zip(x[index], np.broadcast_to(mask, x.shape[-2:]), strict=True)
                out[index] = np.vstack(
                    [matrix_product(row[None, kept], w[index][kept]) for row, kept in rows]
                )
        return out


def matrix_product(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(N, K) @ (K, M), one node an entry; the numbers of a row and a column are read out once."""
    rows = [(tuple(row), numbers_of(row), only_values(row)) for row in x.tolist()]
    columns = [(tuple(column), numbers_of(column), only_values(column)) for column in w.T.tolist()]
    constant = not (any_value(x.flat) or any_value(w.flat))
    out = np.empty((len(rows), len(columns)), dtype=object)
    for i, (row, row_data, row_values) in enumerate(rows):
        for j, (column, column_data, column_values) in enumerate(columns):
            product = sum(map(multiply, row_data, column_data))
            if constant:
                out[i, j] = product
            elif row_values and column_values:
                out[i, j] = Value(product, row + column, column_data + row_data, "dot")
            else:
                out[i, j] = with_children(product, row + column, column_data + row_data, "dot")
    return out


def with_children(data: float, inputs: tuple[Any, ...], local_grads: tuple[float, ...], op: str) -> Any:
    """A node whose children are the Values among the inputs; a float if there are none."""
    kept = [(x, g) for x, g in zip(inputs, local_grads, strict=True) if isinstance(x, Value)]
    return Value(data, tuple([x for x, _ in kept]), tuple([g for _, g in kept]), op) if kept else data


def node(op: Op, *xs: Any) -> Any:
    """The op's node; a float if nothing in it is a Value."""
    if any_value(xs):
        return apply(op, *xs)
    return call(op, *xs)[0]


def sum_node(xs: list[Any]) -> Any:
    return with_children(sum(numbers_of(xs)), tuple(xs), (1.0,) * len(xs), "sum")


def difference(x: Any, y: Any) -> Any:
    return with_children(number_of(x) - number_of(y), (x, y), (1.0, -1.0), "sub")


def textbook_difference(x: Any, y: Any) -> Any:
    return node(BUILTIN_OPS["add"], x, node(BUILTIN_OPS["mul"], y, -1.0))


def quotient(x: Any, y: Any) -> Any:
    a, b = number_of(x), number_of(y)
    try:
        result, local_grads = a / b, (1.0 / b, -a / (b * b))
    except ZeroDivisionError:
        with np.errstate(all="ignore"):
            a, b = np.float64(a), np.float64(b)
            result, local_grads = float(a / b), (float(1.0 / b), float(-a / (b * b)))
    return with_children(result, (x, y), local_grads, "div")


def elementwise(function: Any, *xs: Any) -> np.ndarray:
    arrays = np.broadcast_arrays(*[as_objects(x) for x in xs]) if len(xs) > 1 else [as_objects(xs[0])]
    out = np.empty(arrays[0].shape, dtype=object)
    out.flat[:] = [function(*numbers) for numbers in zip(*[a.flat for a in arrays], strict=True)]
    return out


def along(function: Any, x: np.ndarray, axis: int, mask: Any = None) -> np.ndarray:
    """`function` of each line along the axis: the list of its entries, where the mask is True."""
    lines = np.moveaxis(x, axis, -1)
    kept = None if mask is None else np.moveaxis(np.broadcast_to(mask, x.shape), axis, -1)
    out = np.empty(lines.shape[:-1], dtype=object)
    for index in np.ndindex(out.shape):
        out[index] = function((lines[index] if kept is None else lines[index][kept[index]]).tolist())
    return out


def as_objects(x: Any) -> np.ndarray:
    if isinstance(x, np.ndarray):
        return x
    out = np.empty((), dtype=object)
    out[()] = x
    return out


def number_of(x: Any) -> float:
    return x.data if isinstance(x, Value) else x


def numbers_of(xs: Iterable[Any]) -> tuple[float, ...]:
    return tuple([x.data if isinstance(x, Value) else x for x in xs])


def any_value(xs: Iterable[Any]) -> bool:
    return any(isinstance(x, Value) for x in xs)


def only_values(xs: Iterable[Any]) -> bool:
    return all(isinstance(x, Value) for x in xs)


def data_of(x: np.ndarray) -> np.ndarray:
    """The numbers of an object array as float64."""
    return np.array(numbers_of(x.flat), dtype=float).reshape(x.shape)


def as_values(numbers: np.ndarray) -> np.ndarray:
    """A new leaf Value for each number, in an object array of the same shape."""
    out = np.empty(numbers.shape, dtype=object)
    out.flat[:] = [Value(x) for x in numbers.ravel().tolist()]
    return out
