"""The cross-entropy of a large vocabulary, some words at a time, so that no array has a number for each position and
word (as Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models").

Legend: T positions, E numbers of a hidden state, V vocabulary, P words of a part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from gptlab.engines.xla_remat import in_vmap

# Logits of a row beyond which they are made in parts, and words of a part: what a part takes is little beside the
# gradient of the words' weights.
STREAMED = 1 << 24
PART = 4096
Product = Callable[[str, Any, Any], Any]  # as einsum


def streamed(product: Product, x: jax.Array, w: jax.Array, targets: Any) -> jax.Array:
    """(T,) losses, in nats, by true arithmetic, of the logits x · wᵀ of x (T, E) and w (V, E).

    The backward pass makes each part's logits again.
    """
    losses = with_gradient(product)

    @custom_vmap
    def row(x: jax.Array, w: jax.Array, targets: jax.Array) -> jax.Array:
        return losses(x, w, targets)

    @row.def_vmap
    def _(size: int, batched: Any, x: jax.Array, w: jax.Array, targets: jax.Array) -> Any:
        if batched != [True, False, True]:
            return jax.vmap(losses, [0 if each else None for each in batched], axis_size=size)(
                x, w, targets
            ), True
        # Rows become one: by itself each would have a gradient of all words' weights, to be added up afterwards.
        return losses(x.reshape(-1, x.shape[-1]), w, targets.reshape(-1)).reshape(size, -1), True

    targets = jnp.asarray(targets)
    found: jax.Array = (row if in_vmap(x, w, targets) else losses)(x, w, targets)
    return found


@cache
def with_gradient(product: Product) -> Callable[..., Any]:
    @jax.custom_vjp
    def losses(x: jax.Array, w: jax.Array, targets: jax.Array) -> jax.Array:
        return forward(product, x, w, targets)[0]

    def keeping(x: Any, w: Any, targets: Any) -> Any:
        found, normalizers = forward(product, x.value, w.value, targets.value)
        return found, (x.value, w.value, targets.value, normalizers, w.value if w.perturbed else None)

    losses.defvjp(keeping, lambda kept, of_losses: backward(product, kept, of_losses), symbolic_zeros=True)
    return losses


def forward(product: Product, x: jax.Array, w: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The losses and log Σ exp of the logits, (T,) each."""

    def add(i: Any, found: Any) -> Any:
        largest, total, chosen = found
        _, _, here, logits = part(product, x, w, targets, i)
        more = jnp.maximum(largest, jnp.max(logits, -1))
        total = total * jnp.exp(largest - more) + jnp.sum(jnp.exp(logits - more[:, None]), -1)
        return more, total, chosen + jnp.sum(jnp.where(here, logits, 0.0), -1)

    zero = jnp.zeros_like(x[:, 0])
    largest, total, chosen = lax.fori_loop(0, parts(w), add, (zero - jnp.inf, zero, zero))
    normalizers = largest + jnp.log(total)
    return normalizers - chosen, normalizers


def backward(product: Product, kept: Any, of_losses: Any) -> tuple[Any, Any, None]:
    x, w, targets, normalizers, moving = kept

    def add(i: Any, found: Any) -> Any:
        of_x, of_w = found
        start, some, here, logits = part(product, x, w, targets, i)
        of_logits = (jnp.exp(logits - normalizers[:, None]) - here) * of_losses[:, None]
        of_x = of_x + product("tp,pe->te", of_logits, some)
        if moving is not None:
            # Added to, since what the last part shares with the one before is 0 here.
            rows = lax.dynamic_slice_in_dim(of_w, start, len(some)) + product("tp,te->pe", of_logits, x)
            of_w = lax.dynamic_update_slice_in_dim(of_w, rows, start, 0)
        return of_x, of_w

    zeros = jnp.zeros_like(x), None if moving is None else jnp.zeros_like(moving)
    of_x, of_w = lax.fori_loop(0, parts(w), add, zeros)
    return of_x, of_w, None


def part(product: Product, x: jax.Array, w: jax.Array, targets: jax.Array, i: Any) -> tuple[Any, ...]:
    """Of the i-th part of the words: where it begins, its weights (P, E), and (T, P) whether a word is what follows,
    and the logits; -inf of a word that the part before had, as the last part reaches back to be as long as all are.
    """
    size = min(PART, len(w))
    start = jnp.minimum(i * size, len(w) - size)
    some = lax.dynamic_slice_in_dim(w, start, size)
    words = start + jnp.arange(size, dtype=jnp.int32)
    new = words >= i * size
    logits = jnp.where(new, product("te,pe->tp", x, some), -jnp.inf)
    return start, some, new & (words == targets[:, None]), logits


def parts(w: jax.Array) -> int:
    return -(-len(w) // min(PART, len(w)))
