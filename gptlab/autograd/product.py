"""A matrix product whose entries are Values: each a node of its own, made and differentiated together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import compress
from operator import attrgetter

import numpy as np

from gptlab.autograd.value import Entry, Value

DATA, GRAD, PLACE = attrgetter("data"), attrgetter("grad"), attrgetter("place")


class MatrixProduct:
    """x (N, K) @ w (K, M), object arrays of Values. Entry (i, j) is at the place i * M + j.

    The entries share their rows and columns, which are kept here once for all of them, and their gradients are
    passed on at once: instead of 2 K additions for each entry one for each number of the two matrices. All
    that they are made from exists before any of them, so that none is made from another. They hold the
    product, and it does not hold them: reference counts free both.

    x_data: the numbers of x. kept: (N, K) booleans; where False an entry of x takes no part, and need
    not be a Value.

    rows: the entries of x, row by row; columns: those of w, column by column. They are tuples, whose
    freeing Python limits to some depth at a time. Nothing limits that of an array of objects: with
    arrays here a long chain of products would overflow C's stack when it is freed.
    """

    __slots__ = ("columns", "columns_made", "kept", "rows", "rows_made", "terms", "w_data", "x_data")

    def __init__(self, x: np.ndarray, w: np.ndarray, x_data: np.ndarray, kept: np.ndarray | None = None):
        self.rows: tuple[Value, ...] = tuple(x.ravel().tolist())
        # Most of the numbers, and mostly parameters.
        self.columns: tuple[Value, ...] = tuple(w.T.ravel().tolist())
        self.terms = len(w)
        self.kept = kept
        self.x_data = x_data
        self.w_data: np.ndarray = np.fromiter(map(DATA, self.columns), float, w.size).reshape(w.shape[::-1]).T
        self.columns_made = any_made(self.columns)
        self.rows_made = kept is not None or any_made(self.rows)

    def entries(self) -> np.ndarray:
        """(N, M) Values."""
        products = folded_product(self.x_data, self.w_data, self.kept)
        out = np.empty(products.shape, dtype=object)
        out.flat[:] = [Entry(number, self, place) for place, number in enumerate(products.ravel().tolist())]
        return out

    def row(self, i: int) -> tuple[Value, ...]:
        return self.rows[i * self.terms : (i + 1) * self.terms]

    def column(self, j: int) -> tuple[Value, ...]:
        return self.columns[j * self.terms : (j + 1) * self.terms]

    def children(self, place: int) -> tuple[Value, ...]:
        i, j = divmod(place, self.w_data.shape[1])
        if self.kept is None:
            return self.row(i) + self.column(j)
        kept = self.kept[i].tolist()
        return (*compress(self.row(i), kept), *compress(self.column(j), kept))

    def local_grads(self, place: int) -> tuple[float, ...]:
        i, j = divmod(place, self.w_data.shape[1])
        kept = slice(None) if self.kept is None else self.kept[i]
        return (*self.w_data[kept, j].tolist(), *self.x_data[i, kept].tolist())

    def inputs(self, place: int, given: set[int]) -> Sequence[Value]:
        """The place's children, without those that are known to be leaves or were given for another place.

        `given` is the same set in all calls of one walk, empty at first, for the product to keep account in.
        """
        if self.kept is not None:
            return self.children(place)  # a column's share differs from row to row
        i, j = divmod(place, self.w_data.shape[1])
        inputs: tuple[Value, ...] = ()
        if i not in given and self.rows_made:
            given.add(i)
            inputs = self.row(i)
        if self.columns_made and ~j not in given:  # columns count from -1 down
            given.add(~j)
            inputs += self.column(j)
        return inputs

    def pass_on(self, values: Collection[Entry]) -> None:
        """Add to the `grad` of the children of these entries."""
        grads = np.zeros((len(self.x_data), self.w_data.shape[1]))
        if len(values) < grads.size and not (
            np.isfinite(self.x_data).all() and np.isfinite(self.w_data).all()
        ):
            for value in values:  # an entry without a gradient must not give 0 * inf
                for child, local in zip(value.children, value.local_grads, strict=True):
                    child.grad += local * value.grad
            return
        np.add.at(grads.reshape(-1), list(map(PLACE, values)), list(map(GRAD, values)))
        add_grads(self.rows, folded_product(grads, self.w_data.T), self.kept)
        kept = None if self.kept is None else self.kept.T
        add_grads(self.columns, folded_product(self.x_data.T, grads, kept).T)


def any_made(values: Iterable[Value]) -> bool:
    """False if all are leaves."""
    return not {Value}.issuperset(map(type, values))


def folded_product(x: np.ndarray, w: np.ndarray, kept: np.ndarray | None = None) -> np.ndarray:
    """x @ w of float64, each entry summed from the left, entries of x where `kept` is False left out.

    To the bit what a fold of `add` over `mul` gives, whatever the shapes: with BLAS a row's bits
    depend on how many others there are.
    """
    total = np.zeros((len(x), w.shape[1]))
    term = np.empty_like(total)
    with np.errstate(all="ignore"):  # an infinity or NaN is a number here
        for k in range(len(w)):
            np.multiply(x[:, k : k + 1], w[k], out=term)
            if kept is None:
                total += term
            else:
                np.add(total, term, out=total, where=kept[:, k : k + 1])
    return total


def add_grads(values: Iterable[Value], grads: np.ndarray, kept: np.ndarray | None = None) -> None:
    """To each value, in the order of the rows of grads; only where `kept` is True."""
    if kept is not None:
        values, grads = compress(values, kept.ravel().tolist()), grads[kept]
    for value, grad in zip(values, grads.ravel().tolist(), strict=True):
        value.grad += grad
