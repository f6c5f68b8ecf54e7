"""The xla engine's arithmetic: jax arrays, with every op differentiated by its own local gradients."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from gptlab.autograd.op import Op
from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Arithmetic
from gptlab.engines.xla_half import half_einsum, half_matmul
from gptlab.engines.xla_remat import recomputed
from gptlab.engines.xla_rows import rows_times_matrix
from gptlab.engines.xla_settings import HALF, stored_in
from gptlab.engines.xla_streamed import STREAMED, streamed

# Positions of a row up to which fewer kernels count for more than less memory to go through.
SHORT = 64
# XLA would compute each of these, and its gradient, with a general power.
POWERS: dict[float, Callable[[jax.Array], jax.Array]] = {
    -1.0: lambda x: 1.0 / x,
    -0.5: lax.rsqrt,
    0.5: jnp.sqrt,
    2.0: jnp.square,
}


class XlaArithmetic(Arithmetic):
    """Standard sums and products go to XLA's own; swapped ones become loops that XLA fuses.

    dtype: that of all numbers; bfloat16 is of matrix products alone, and everything else is float32 then. remat: see
    Arithmetic.
    """

    block: int | None = SHORT
    xp = jnp

    def __init__(self, ops: OpTable, dtype: str, remat: bool = False):
        super().__init__(ops)
        self.remat = remat
        self.dtype = stored_in(dtype)
        self.half = dtype == HALF
        self.native_sum = ops.standard("add")
        self.native_dot = ops.standard("add", "mul")
        self.native_divide = ops.standard("mul", "pow")
        self.native_softmax = ops.standard("add", "mul", "pow", "exp")
        self.native_cross_entropy = ops.standard("add", "exp", "log")

    def __eq__(self, other: object) -> bool:
        """Equal if they compute the same, so that programs traced with one serve the other."""
        return isinstance(other, XlaArithmetic) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return *self.settings(), self.ops.key()

    def settings(self) -> tuple[Any, ...]:
        """What, beside the ops, a program that is traced with it depends on."""
        return self.dtype, self.half, self.block, self.remat

    def constant(self, values: Any) -> jax.Array:
        return jnp.asarray(values, dtype=self.dtype)

    def apply(self, name: str, *xs: Any) -> Any:
        if self.ops.standard(name):
            # jax differentiates these two just so, and traces them faster
            if name == "add":
                return xs[0] + xs[1]
            if name == "mul":
                return xs[0] * xs[1]
            if name == "pow" and isinstance(xs[1], float | int) and xs[1] in POWERS:
                return POWERS[xs[1]](xs[0])
        return differentiable(self.ops[name])(*xs)

    def fold(self, name: str, x: jax.Array, axis: int, mask: Any = None) -> jax.Array:
        if name == "add" and self.native_sum:
            return jnp.sum(x if mask is None else jnp.where(mask, x, 0.0), axis)
        function = differentiable(self.ops[name])
        lines = jnp.moveaxis(x, axis, 0)
        if mask is None:
            return lax.scan(lambda total, term: (function(total, term), None), lines[0], lines[1:])[0]

        def masked(carry: Any, line: Any) -> Any:
            total, begun = carry
            term, kept = line
            return (jnp.where(kept, jnp.where(begun, function(total, term), term), total), begun | kept), None

        kept = jnp.moveaxis(jnp.broadcast_to(mask, x.shape), axis, 0)
        start = jnp.where(kept[0], lines[0], 0.0), kept[0]
        return lax.scan(masked, start, (lines[1:], kept[1:]))[0][0]

    def where(self, condition: Any, x: Any, y: Any) -> jax.Array:
        return jnp.where(condition, x, y)

    def largest(self, x: jax.Array, axis: int) -> jax.Array:
        return lax.stop_gradient(jnp.max(x, axis, keepdims=True))

    def pick(self, x: jax.Array, indices: Any) -> jax.Array:
        if x.shape[0] > SHORT:
            return jnp.take_along_axis(x, jnp.asarray(indices)[:, None], -1)[:, 0]
        # A comparison fuses into the softmax around it; a gather's gradient is a scatter, which does not.
        chosen = jnp.arange(x.shape[-1], dtype=jnp.int32) == jnp.asarray(indices)[:, None]
        return jnp.sum(jnp.where(chosen, x, 0.0), -1)

    def cross_entropy(self, logits: jax.Array, targets: Any) -> jax.Array:
        return (
            cross_entropy(logits, targets)
            if self.native_cross_entropy
            else super().cross_entropy(logits, targets)
        )

    def take(self, x: jax.Array, indices: Any) -> jax.Array:
        return x.at[indices].get(mode="promise_in_bounds")

    def negative(self, x: Any) -> Any:
        return -x if self.ops.standard("mul") else super().negative(x)

    def subtract(self, x: Any, y: Any) -> Any:
        return x - y if self.native_dot else super().subtract(x, y)

    def true_difference(self, x: Any, y: Any) -> Any:
        return x - y

    def divide(self, x: Any, y: Any) -> Any:
        return x / y if self.native_divide else super().divide(x, y)

    def matmul(self, x: jax.Array, w: jax.Array, mask: Any = None) -> jax.Array:
        if not self.native_dot:
            return super().matmul(x, w, mask)
        x = x if mask is None else jnp.where(mask, x, 0.0)
        if x.ndim == w.ndim == 2 and x.dtype == w.dtype:
            return rows_times_matrix(x, w, self.half)
        return half_matmul(x, w) if self.half else jnp.matmul(x, w)

    def einsum(self, equation: str, x: jax.Array, y: jax.Array, mask: Any = None) -> jax.Array:
        if not self.native_dot:
            return super().einsum(equation, x, y, mask)
        # XLA lays a contraction of its own out better than a product of what was transposed for it. A
        # single row (generation has one position) is a sum to it only without its axis.
        terms, result = equation.split("->")
        single = [i for i, size in zip(terms, x.shape, strict=False) if size == 1 and i in result]
        for i in single:
            x = x.squeeze(terms.index(i))
            terms = terms.replace(i, "", 1)
        kept = "".join(i for i in result if i not in single)
        equation = f"{terms}->{kept}"
        found = half_einsum(equation, x, y) if self.half else jnp.einsum(equation, x, y)
        return jnp.expand_dims(found, [result.index(i) for i in single]) if single else found

    def attend(self, scores: jax.Array, values: jax.Array, mask: Any) -> jax.Array:
        if not self.native_softmax:
            return super().attend(scores, values, mask)
        seen = scores + bias_of(mask, scores.dtype)
        shares = jnp.exp(seen - lax.stop_gradient(jnp.max(seen, -1, keepdims=True)))
        # Divided last, where there are D numbers a position instead of S.
        totals = jnp.swapaxes(jnp.sum(shares, -1), 0, 1)[..., None]
        return self.einsum("hts,shd->thd", shares, values) / totals

    def softmax(self, x: jax.Array, mask: Any) -> jax.Array:
        if not self.native_softmax:
            return super().softmax(x, mask)
        return jax.nn.softmax(x + bias_of(mask, x.dtype))

    def scan(
        self,
        step: Callable[..., tuple[list[Any], list[Any]]],
        state: list[jax.Array],
        begins: Any,
        xs: Sequence[jax.Array],
    ) -> tuple[list[Any], list[Any]]:
        if len(xs[0]) == 1:  # in generation, where a loop of one turn would only stand in XLA's way
            return super().scan(step, state, begins, xs)

        def one(carry: list[jax.Array], row: Any) -> Any:
            after, ys = step(carry, *row)
            return [lax.convert_element_type(s, c.dtype) for s, c in zip(after, carry, strict=True)], ys

        found: tuple[list[Any], list[Any]] = lax.scan(one, list(state), (begins, list(xs)))
        return found

    def products(self, x: jax.Array, ws: Sequence[jax.Array]) -> list[jax.Array]:
        if not self.native_dot or len(ws) == 1 or x.shape[0] > SHORT or any(w.ndim != 2 for w in ws):
            return super().products(x, ws)
        joined = self.matmul(x, jnp.concatenate(ws).T)
        return jnp.split(joined, np.cumsum([w.shape[0] for w in ws])[:-1], axis=-1)

    def recomputed(self, function: Callable[[], list[Any]], step: Any) -> list[Any]:
        if not self.remat:
            return function()
        number = step() if callable(step) else step
        return recomputed(function, jnp.asarray(number) >= 1)

    def streams(self, rows: int, columns: int) -> bool:
        return rows * columns > STREAMED and self.native_dot and self.native_cross_entropy

    def cross_entropy_of_product(self, x: jax.Array, w: jax.Array, targets: Any) -> jax.Array:
        if not self.streams(len(x), len(w)):
            return super().cross_entropy_of_product(x, w, targets)
        return streamed(half_einsum if self.half else jnp.einsum, x, w, targets)


def bias_of(mask: Any, dtype: Any) -> jax.Array:
    """What is added to scores so that only what the mask says is seen.

    Added, it stays one of XLA's fused softmaxes; a selection by a mask that is not constant does not.
    The barrier keeps it from being made again for each score.
    """
    return lax.optimization_barrier(jnp.where(mask, 0.0, -jnp.inf).astype(dtype))


@cache
def differentiable(op: Op) -> Callable[..., Any]:
    """The op on jax arrays, its derivative being its own local gradients.

    A forward-mode rule that is linear in the tangents: jax transposes it, and with it the
    broadcasting, into the reverse mode.
    """

    @jax.custom_jvp
    def function(*xs: Any) -> Any:
        return op.forward(jnp, *xs)[0]

    def derivative(xs: Any, tangents: Any) -> Any:
        y, gradients = op.forward(jnp, *xs)
        # Constants have symbolic zeros: multiplying by a true zero would not be compiled away.
        terms = [g * t for g, t in zip(gradients, tangents, strict=True) if not isinstance(t, SymbolicZero)]
        total = sum(terms[1:], terms[0]) if terms else jnp.zeros_like(y)
        return y, jnp.broadcast_to(total, jnp.shape(y)).astype(jnp.result_type(y))

    function.defjvp(derivative, symbolic_zeros=True)
    return function


def cross_entropy(logits: jax.Array, targets: Any) -> jax.Array:
    """(T, V) and (T,) to (T,), by true arithmetic."""
    # Not by log_softmax, which writes all (T, V) of them: an evaluation with 597 words takes 0.66 of the time, a step
    # of tiny 0.8.
    chosen = jnp.take_along_axis(logits, jnp.asarray(targets)[:, None], -1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen
