"""What is computed again in the backward pass instead of being kept (Chen et al. 2016, "Training Deep Nets with
Sublinear Memory Cost"), so that XLA lets it be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

Run = Callable[..., list[Any]]  # arrays to arrays


def recomputed(function: Callable[[], Any], taken: Any) -> Any:
    """`function()`, a tree of arrays; of what it computes on the way the backward pass keeps nothing.

    function: may read arrays of the program around it, which are what is kept. taken: a boolean of the program that is
    always True, which the compiler must not be able to find out. Behind it the second computation is out of its sight:
    jax.checkpoint's own barrier is gone on a CPU when XLA looks for what is computed twice, and the peak stays.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)()
    read = [isinstance(const, jax.core.Tracer) for const in traced.consts]

    def run(*given: Any) -> list[Any]:
        arrays = iter(given)
        consts = [next(arrays) if r else c for r, c in zip(read, traced.consts, strict=True)]
        return list(jax.core.eval_jaxpr(traced.jaxpr, consts))

    given = [const for const, r in zip(traced.consts, read, strict=True) if r]
    return jax.tree.unflatten(jax.tree.structure(shapes), by_rows(run)(taken, *given))


def by_rows(run: Run) -> Run:
    """(taken, *given) -> what `run` gives, computed again in the backward pass for all rows of a `vmap` at once.

    A custom_vjp by itself would have a gradient of the weights for each row, and add them up after that.
    """

    again = twice(run)

    def either(taken: Any, *given: Any) -> list[Any]:
        found: list[Any] = (one if in_vmap(*given) else again)(taken, *given)
        return found

    @custom_vmap
    def one(taken: Any, *given: Any) -> list[Any]:
        return again(taken, *given)

    @one.def_vmap
    def _(size: int, batched: Any, taken: Any, *given: Any) -> Any:
        axes = [0 if each else None for each in batched[1:]]
        found = twice(jax.vmap(run, in_axes=axes, axis_size=size))(taken, *given)
        return found, [True] * len(found)

    return either


def in_vmap(*arrays: Any) -> bool:
    """Whether a `vmap` is what comes next around these; a custom_vmap is differentiated only where it does."""
    return any(type(array).__name__ == "BatchTracer" for array in arrays)  # jax does not export it


def twice(run: Run) -> Run:
    """(taken, *given) -> what `run` gives, computed once more in the backward pass."""

    @jax.custom_vjp
    def once(taken: Any, *given: Any) -> list[Any]:
        return run(*given)

    def forward(taken: Any, *given: Any) -> Any:
        moving = [g.value if g.perturbed else None for g in given]
        still = [None if g.perturbed else g.value for g in given]
        return run(*(g.value for g in given)), (taken.value, moving, still)

    def backward(kept: Any, cotangents: Any) -> Any:
        taken, moving, still = kept
        # Only floats have a gradient, and of those only what something has read.
        used = [not isinstance(c, jax.custom_derivatives.SymbolicZero) for c in cotangents]

        def again(moving: Any, cotangents: Any) -> Any:
            def outputs(moving: Any) -> list[Any]:
                found = run(*(s if m is None else m for m, s in zip(moving, still, strict=True)))
                return [y for y, u in zip(found, used, strict=True) if u]

            return jax.vjp(outputs, moving)[1](cotangents)[0]

        def nothing(moving: Any, cotangents: Any) -> Any:
            return jax.tree.map(jnp.zeros_like, moving)

        real = [c for c, u in zip(cotangents, used, strict=True) if u]
        return (None, *lax.cond(taken, again, nothing, moving, real))

    once.defvjp(forward, backward, symbolic_zeros=True)
    return once
