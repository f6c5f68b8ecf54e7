"""Tensor: what components are written on. Its arithmetic is nothing but registered ops.

A Tensor holds an array of whichever engine computes it and that engine's `Arithmetic`, which says how.
What must hold for every engine is written once, in `Arithmetic`: which ops a difference, a quotient, a
sum or a matrix product mean. An engine overrides a method to fuse what is standard.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from gptlab.autograd.ops import OpTable
from gptlab.errors import UserError

Data = Any  # an engine's array; or a Python float


class Arithmetic(ABC):
    """An engine's arithmetic on its own arrays, under the op table of one model.

    Arrays broadcast as in numpy. A product `x @ w` means: fold `add`, from the left, over `mul`.
    """

    # Positions that attention does best at once where a row has more: None for all of them.
    block: int | None = None
    # Whether the backward pass computes a layer again instead of keeping what is in it.
    remat: bool = False
    xp: Any  # the array namespace of the engine's arrays

    def __init__(self, ops: OpTable):
        self.ops = ops

    @abstractmethod
    def constant(self, values: Any) -> Data:
        """These numbers as an array through which no gradient flows."""

    @abstractmethod
    def apply(self, name: str, *xs: Data) -> Data:
        """The op that the table holds under this name, elementwise."""

    @abstractmethod
    def fold(self, name: str, x: Data, axis: int, mask: Any = None) -> Data:
        """op(op(op(x[0], x[1]), x[2]), ...) along the axis, which vanishes.

        Where `mask` (booleans that broadcast to x) is False an entry takes no part; 0 if none does.
        """

    @abstractmethod
    def where(self, condition: Any, x: Data, y: Data) -> Data:
        """x where the condition holds, else y. The condition is an array of booleans, no Tensor."""

    @abstractmethod
    def largest(self, x: Data, axis: int) -> Data:
        """The largest along the axis, kept as length 1; no gradient flows through it."""

    @abstractmethod
    def true_difference(self, x: Data, y: Data) -> Data:
        """x - y, whatever is swapped."""

    @abstractmethod
    def pick(self, x: Data, indices: Any) -> Data:
        """x[t, indices[t]] for each row t of a matrix."""

    def cross_entropy(self, logits: Data, targets: Any) -> Data:
        """-log softmax(logits)[t, targets[t]] for each row t, in nats: (T, V) and (T,) to (T,)."""
        shifted = self.true_difference(logits, self.largest(logits, -1))
        total = self.apply("log", self.fold("add", self.apply("exp", shifted), -1))
        # By a true difference: with one that is a factor off, the loss has no lower bound.
        return self.true_difference(total, self.pick(shifted, targets))

    def argmax(self, x: Data, axis: int) -> Any:
        """Where along the axis the largest is, the first of equal ones: whole numbers, no Tensor."""
        return self.xp.argmax(x, axis)

    def concatenate(self, xs: Sequence[Data], axis: int) -> Data:
        return self.xp.concatenate(xs, axis)

    def take(self, x: Data, indices: Any) -> Data:
        """The rows of x at these indices."""
        return self.index(x, indices)

    def index(self, x: Data, index: Any) -> Data:
        """x[index], an array also where that is one number."""
        return x[index]

    def negative(self, x: Data) -> Data:
        return self.apply("mul", x, -1.0)

    def subtract(self, x: Data, y: Data) -> Data:
        return self.apply("add", x, self.apply("mul", y, -1.0))

    def divide(self, x: Data, y: Data) -> Data:
        return self.apply("mul", x, self.apply("pow", y, -1.0))

    def sum(self, x: Data, axis: int, keepdims: bool, mask: Any = None) -> Data:
        folded = self.fold("add", x, axis, mask)
        if not keepdims:
            return folded
        shape = list(x.shape)
        shape[axis] = 1
        return folded.reshape(shape)

    def matmul(self, x: Data, w: Data, mask: Any = None) -> Data:
        """x (..., N, K) times w (..., K, M); mask (N, K) says which entries of x take part."""
        rows = x[..., :, None, :]
        columns = w.swapaxes(-1, -2)[..., None, :, :]
        kept = None if mask is None else mask[..., :, None, :]
        return self.fold("add", self.apply("mul", rows, columns), -1, kept)

    def einsum(self, equation: str, x: Data, y: Data, mask: Any = None) -> Data:
        """Two arrays contracted over one index; what of x (..., rows, summed) is masked out is 0 already."""
        left, right, result = contraction(equation)
        return self.matmul(x.transpose(left), y.transpose(right), mask).transpose(result)

    def softmax(self, x: Data, mask: Any) -> Data:
        """exp(x) / sum(exp(x)) over the last axis, where the mask is True; exactly 0 elsewhere.

        What is masked is set aside before `exp` and after it, rather than sent through it as minus
        infinity: an `exp` that somebody swapped in need not know what to make of that.
        """
        seen = self.where(mask, x, -math.inf)
        shifted = self.where(mask, self.true_difference(x, self.largest(seen, -1)), 0.0)
        exponentials = self.where(mask, self.apply("exp", shifted), 0.0)
        shares = self.divide(exponentials, self.sum(exponentials, -1, True, mask))
        return self.where(mask, shares, 0.0)

    def attend(self, scores: Data, values: Data, mask: Any) -> Data:
        """softmax(scores) · values: (H, T, S) and (S, H, D) to (T, H, D); mask (T, S)."""
        return self.einsum("hts,shd->thd", self.softmax(scores, mask), values, mask)

    def scan(
        self,
        step: Callable[..., tuple[list[Data], list[Data]]],
        state: list[Data],
        begins: Any,
        xs: Sequence[Data],
    ) -> tuple[list[Data], list[Data]]:
        """`step(state, begin, rows) -> (state, ys)` at each t of xs (T, ...): the last state, and the ys (T, ...).

        begins: (T,) booleans, of which a step gets its own, or None.
        """
        found = []
        for t in range(len(xs[0])):
            begin = None if begins is None else begins[t]
            state, ys = step(state, begin, [self.index(x, t) for x in xs])
            found.append([y.reshape((1, *y.shape)) for y in ys])
        return state, [self.concatenate(lines, 0) for lines in zip(*found, strict=True)]

    def products(self, x: Data, ws: Sequence[Data]) -> list[Data]:
        """x (..., N, K) times each of the w (M, K), transposed."""
        return [self.matmul(x, w.swapaxes(-1, -2)) for w in ws]

    def recomputed(self, function: Callable[[], list[Data]], step: Any) -> list[Data]:
        """`function()`, which the backward pass computes again where `remat` says so.

        step: of the training, from 1 up, or a function that gives it.
        """
        return function()

    def streams(self, rows: int, columns: int) -> bool:
        """Whether so many logits are more than should be held at once."""
        return False

    def cross_entropy_of_product(self, x: Data, w: Data, targets: Any) -> Data:
        """`cross_entropy(x @ w.T, targets)` of x (T, E) and w (V, E); where it `streams`, never all logits at once."""
        return self.cross_entropy(self.matmul(x, w.swapaxes(-1, -2)), targets)


@cache
def contraction(equation: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """`thd,shd->hts` as a matrix product: the axes of (batch, rows, summed), (batch, summed, columns), the result.

    Raises UserError unless one index is summed, and each side has one index of its own besides the shared."""
    inputs, _, result = equation.replace(" ", "").partition("->")
    left, _, right = inputs.partition(",")
    batch = [i for i in left if i in right and i in result]
    rows = [i for i in left if i not in right and i in result]
    columns = [i for i in right if i not in left and i in result]
    summed = [i for i in left if i in right and i not in result]
    whole = [len(set(indices)) == len(indices) for indices in (left, right, result)]
    if not all(whole) or [len(rows), len(columns), len(summed)] != [1, 1, 1] or len(result) != len(batch) + 2:
        raise UserError(
            f"einsum must sum one index, and have one of its own on each side: got '{equation}'. "
            "Try 'thd,shd->hts'."
        )
    order = [*batch, *rows, *columns]
    return (
        tuple(left.index(i) for i in [*batch, *rows, *summed]),
        tuple(right.index(i) for i in [*batch, *summed, *columns]),
        tuple(order.index(i) for i in result),
    )


def check_sizes(equation: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Raises UserError for an index of two sizes: one engine would stretch what another sums."""
    contraction(equation)
    indices = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    fits = [len(names) for names in indices] == [len(left), len(right)]
    pairs = zip("".join(indices), (*left, *right), strict=False)
    if not fits or any(sizes.setdefault(name, size) != size for name, size in pairs):
        raise UserError(
            f"an index of einsum must have one size: got '{equation}' of {left} and {right}. Repeat what is to be "
            "shared, x[:, np.zeros(n, dtype=int)]."
        )


class Tensor:
    """An array in some engine, with operators. The operators are ops: swap an op, and they change.

    `+ - * / ** @`, `sum`, `mean`, `reshape`, `swapaxes`, `T`, indexing, and `apply` for any op by
    name. Numbers mix with Tensors; arrays of numbers become Tensors through `constant`.
    """

    __slots__ = ("arithmetic", "data")
    __array_priority__ = 1000  # numpy must leave `array * tensor` to Tensor

    def __init__(self, data: Data, arithmetic: Arithmetic):
        self.data = data
        self.arithmetic = arithmetic

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data.shape)

    @property
    def ndim(self) -> int:
        return len(self.data.shape)

    @property
    def T(self) -> Tensor:
        """The last two axes exchanged."""
        return self.swapaxes(-1, -2)

    def apply(self, op: str, *others: Tensor | float) -> Tensor:
        """The op of this name on this Tensor (its first input) and the others, elementwise.

        Raises UserError if no op has this name.
        """
        return self._wrap(self.arithmetic.apply(op, self.data, *[_data(x) for x in others]))

    def constant(self, values: Any) -> Tensor:
        """Numbers (a nested list, a numpy array) as a Tensor of the same engine, without gradient."""
        return self._wrap(self.arithmetic.constant(values))

    def __add__(self, other: Tensor | float) -> Tensor:
        return self._wrap(self.arithmetic.apply("add", self.data, _data(other)))

    def __radd__(self, other: float) -> Tensor:
        return self._wrap(self.arithmetic.apply("add", other, self.data))

    def __mul__(self, other: Tensor | float) -> Tensor:
        return self._wrap(self.arithmetic.apply("mul", self.data, _data(other)))

    def __rmul__(self, other: float) -> Tensor:
        return self._wrap(self.arithmetic.apply("mul", other, self.data))

    def __neg__(self) -> Tensor:
        return self._wrap(self.arithmetic.negative(self.data))

    def __sub__(self, other: Tensor | float) -> Tensor:
        return self._wrap(self.arithmetic.subtract(self.data, _data(other)))

    def __rsub__(self, other: float) -> Tensor:
        return self._wrap(self.arithmetic.subtract(self.arithmetic.constant(other), self.data))

    def __truediv__(self, other: Tensor | float) -> Tensor:
        return self._wrap(self.arithmetic.divide(self.data, _data(other)))

    def __rtruediv__(self, other: float) -> Tensor:
        return self._wrap(self.arithmetic.divide(self.arithmetic.constant(other), self.data))

    def __pow__(self, exponent: Tensor | float) -> Tensor:
        return self._wrap(self.arithmetic.apply("pow", self.data, _data(exponent)))

    def __matmul__(self, other: Tensor) -> Tensor:
        return self._wrap(self.arithmetic.matmul(self.data, other.data))

    def matmul(self, other: Tensor, mask: Any = None) -> Tensor:
        """`self @ other`, in which only those entries (N, K) of self take part where `mask` is True.

        That is more than setting them to 0: a swapped `mul` or `add` need not leave a 0 alone.
        """
        return self._wrap(self.arithmetic.matmul(self.data, other.data, mask))

    def einsum(self, equation: str, other: Tensor, mask: Any = None) -> Tensor:
        """The fold of `add` over one index of products: `query.einsum("thd,shd->hts", key)`.

        mask: over (rows, summed) of self, which must be 0 where it is False (as `softmax` leaves it):
        even a swapped `mul`, which need not leave a 0 alone, makes nothing of those. Raises UserError
        for an equation that sums another number of indices than one, and an index of two sizes.
        """
        check_sizes(equation, self.shape, other.shape)
        return self._wrap(self.arithmetic.einsum(equation, self.data, other.data, mask))

    def products(self, *weights: Tensor) -> list[Tensor]:
        """`[self @ w.T for w in weights]`, which an engine may do as one product."""
        return [self._wrap(data) for data in self.arithmetic.products(self.data, [w.data for w in weights])]

    def sum(self, axis: int = -1, keepdims: bool = False, mask: Any = None) -> Tensor:
        """The fold of `add` over the axis; entries where `mask` is False take no part."""
        return self._wrap(self.arithmetic.sum(self.data, axis, keepdims, mask))

    def mean(self, axis: int = -1, keepdims: bool = False) -> Tensor:
        return self.sum(axis, keepdims) * (1.0 / self.shape[axis])

    def largest(self, axis: int = -1) -> Tensor:
        """The largest along the axis (kept, length 1), as a constant: what softmax subtracts."""
        return self._wrap(self.arithmetic.largest(self.data, axis))

    def minus(self, other: Tensor) -> Tensor:
        """The difference by true arithmetic, whatever is swapped.

        For what is no part of the model but the way it is computed or judged: the largest that a
        softmax subtracts so that nothing overflows, the last step of a cross-entropy.
        """
        return self._wrap(self.arithmetic.true_difference(self.data, other.data))

    def argmax(self, axis: int = -1) -> Any:
        """Where along the axis the largest is: whole numbers as `positions` are, for `pick` or a mask.

        `chosen[:, None] == np.arange(n)` is the mask; no gradient flows through the choice.
        """
        return self.arithmetic.argmax(self.data, axis)

    def softmax(self, mask: Any) -> Tensor:
        """exp / sum(exp) over the last axis, where the mask is True; exactly 0 elsewhere."""
        return self._wrap(self.arithmetic.softmax(self.data, mask))

    def attend(self, values: Tensor, mask: Any) -> Tensor:
        """Of scores (H, T, S) and values (S, H, D), each position's mean of the values it may see, (T, H, D).

        The shares of that mean are the softmax of the scores where `mask` (T, S) is True. Raises UserError for
        other sizes of H or S here and there.
        """
        check_sizes("hts,shd->thd", self.shape, values.shape)
        return self._wrap(self.arithmetic.attend(self.data, values.data, mask))

    def where(self, condition: Any, other: Tensor | float) -> Tensor:
        """This Tensor where the condition holds, `other` elsewhere."""
        return self._wrap(self.arithmetic.where(condition, self.data, _data(other)))

    def pick(self, indices: Any) -> Tensor:
        """Of a (T, N) Tensor the entries [t, indices[t]]: (T,). Raises UserError for other shapes."""
        given = tuple(indices.shape) if hasattr(indices, "shape") else (len(indices),)
        if self.ndim != 2 or given != self.shape[:1]:
            raise UserError(
                f"pick takes one index for each row of a (T, N) Tensor: got {given} indices of {self.shape}. Try "
                "x[..., indices] or x.take(indices)."
            )
        return self._wrap(self.arithmetic.pick(self.data, indices))

    def cross_entropy(self, targets: Any) -> Tensor:
        """Of (T, V) logits and (T,) indices the losses (T,), in nats."""
        return self._wrap(self.arithmetic.cross_entropy(self.data, targets))

    def cross_entropy_of_product(self, weights: Tensor, targets: Any) -> Tensor:
        """`(self @ weights.T).cross_entropy(targets)`, whose logits an engine that `streams` never has at once."""
        return self._wrap(self.arithmetic.cross_entropy_of_product(self.data, weights.data, targets))

    def take(self, indices: Any) -> Tensor:
        """The rows at these indices: what an embedding does."""
        return self._wrap(self.arithmetic.take(self.data, indices))

    def concatenate(self, *others: Tensor, axis: int = -1) -> Tensor:
        return self._wrap(self.arithmetic.concatenate([self.data, *(other.data for other in others)], axis))

    def reshape(self, *shape: int) -> Tensor:
        return self._wrap(self.data.reshape(shape))

    def swapaxes(self, a: int, b: int) -> Tensor:
        return self._wrap(self.data.swapaxes(a, b))

    def __getitem__(self, index: Any) -> Tensor:
        return self._wrap(self.arithmetic.index(self.data, index))

    def __repr__(self) -> str:
        return f"Tensor{self.shape}"

    def _wrap(self, data: Data) -> Tensor:
        return Tensor(data, self.arithmetic)


def _data(x: Tensor | float) -> Data:
    return x.data if isinstance(x, Tensor) else x
