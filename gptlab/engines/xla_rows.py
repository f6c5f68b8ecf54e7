"""The product of rows with a matrix, which takes the rows of a whole batch as one matrix.

jax.vmap makes of `x @ w` a product with two axes of rows. Its value is the same, but the gradient of w is then a sum
over two axes, which XLA's products do not know: it copied what arrives, transposed, before each of them, and that was
0.2 of a step at nEmbd 128 to 384. With the axes merged first it is a plain product of two matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from gptlab.engines.xla_half import half_matmul

rows_times_matrix_p = Primitive("rows_times_matrix")


def rows_times_matrix(x: jax.Array, w: jax.Array, half: bool = False) -> jax.Array:
    """x (T, K) times w (K, M), of one type. half: in bfloat16, as xla_half has it."""
    found: jax.Array = rows_times_matrix_p.bind(x, w, half=half)
    return found


def product(x: Any, w: Any, *, half: bool) -> Any:
    return half_matmul(x, w) if half else jnp.matmul(x, w)


def batched(arguments: Sequence[Any], axes: Sequence[int | None], *, half: bool) -> tuple[Any, int]:
    (x, w), (x_axis, w_axis) = arguments, axes
    if x_axis is None or w_axis is not None:  # a matrix for each row: nothing to merge
        return jax.vmap(lambda x, w: product(x, w, half=half), (x_axis, w_axis))(x, w), 0
    x = jnp.moveaxis(x, x_axis, 0)
    found = product(x.reshape(-1, x.shape[-1]), w, half=half)
    return found.reshape(*x.shape[:-1], w.shape[-1]), 0


def abstract(x: Any, w: Any, *, half: bool) -> ShapedArray:
    if x.shape[1] != w.shape[0]:
        raise TypeError(f"rows of {x.shape[1]} numbers and a matrix of {w.shape[0]} rows have no product")
    return ShapedArray((x.shape[0], w.shape[1]), x.dtype)


rows_times_matrix_p.def_impl(jax.jit(product, static_argnames="half"))
rows_times_matrix_p.def_abstract_eval(abstract)
mlir.register_lowering(rows_times_matrix_p, mlir.lower_fun(product, multiple_results=False))
batching.primitive_batchers[rows_times_matrix_p] = batched
ad.defbilinear(
    rows_times_matrix_p,
    lambda gradient, x, w, half: rows_times_matrix(gradient, w.T, half),
    lambda gradient, x, w, half: rows_times_matrix(x.T, gradient, half),
)
