"""Matrix products in bfloat16 between float32 numbers: operands are rounded, sums are not (Kalamkar et al. 2019,
"A Study of BFLOAT16 for Deep Learning Training")."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def half_einsum(equation: str, x: jax.Array, y: jax.Array) -> jax.Array:
    """float32 to float32. Each index of the equation is in two of its three terms, none in one alone.

    Its gradient's products are in bfloat16, too; jax's own would be of mixed numbers, for which chips have no units.
    """
    return product(equation, x, y)


def product(equation: str, x: jax.Array, y: jax.Array) -> jax.Array:
    half = jnp.bfloat16
    return jnp.einsum(equation, x.astype(half), y.astype(half), preferred_element_type=jnp.float32)


def forward(equation: str, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Any]:
    # Rounded before they are kept: half the memory.
    x, y = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
    return product(equation, x, y), (x, y)


def backward(equation: str, kept: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, y = kept
    terms, result = equation.split("->")
    left, right = terms.split(",")
    return (
        product(f"{result},{right}->{left}", gradient, y),
        product(f"{left},{result}->{right}", x, gradient),
    )


half_einsum.defvjp(forward, backward)


def half_matmul(x: jax.Array, w: jax.Array) -> jax.Array:
    """x (..., N, K) times w (K, M) or, with the same axes in front, (..., K, M)."""
    if w.ndim == 2:
        found = half_einsum("nk,km->nm", x.reshape(-1, x.shape[-1]), w)
        return found.reshape(*x.shape[:-1], w.shape[-1])
    shape = jnp.broadcast_shapes(x.shape[:-2], w.shape[:-2])
    x, w = (jnp.broadcast_to(each, (*shape, *each.shape[-2:])) for each in (x, w))
    found = half_einsum("bnk,bkm->bnm", *(each.reshape(-1, *each.shape[-2:]) for each in (x, w)))
    return found.reshape(*shape, *found.shape[-2:])
