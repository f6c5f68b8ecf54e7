"""The compiled generation beyond the model's positions: each token from a window of those before it.

Legend: see engine.py; n samples, T positions of a window, K tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gptlab.engines.context import causal_context
from gptlab.engines.ending import Ends, are_no_ends, ends_in
from gptlab.engines.engine import Choose, Definition, takes_seen
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_compiled import Target, compiled
from gptlab.engines.xla_programs import PROGRAMS, Weights, tensors


@lru_cache(maxsize=PROGRAMS)
def slide_program(
    definition: Definition,
    choose: Choose,
    arithmetic: XlaArithmetic,
    target: Target,
    ends: Ends | None = None,
) -> Callable[..., Any]:
    """(weights, windows (n, T), uniforms (n, K), settings) -> (n, K) tokens."""

    def run(weights: Weights, windows: jax.Array, uniforms: jax.Array, settings: dict[str, Any]) -> jax.Array:
        named = tensors(weights, arithmetic)

        def next_token(window: jax.Array, uniform: jax.Array) -> jax.Array:
            logits = definition.logits(named, window, causal_context(len(window))).data[-1]
            last = ends_in(len(logits), ends)
            zeros = [jnp.zeros(len(logits), jnp.int32)] if counted else []
            seen = [counts.at[window].add(are_no_ends(window, last)) for counts in zeros]
            return choose(jnp, logits, uniform, *seen, **settings).astype(jnp.int32)

        def step(windows: jax.Array, uniforms: jax.Array) -> tuple[jax.Array, jax.Array]:
            tokens = jax.vmap(next_token)(windows, uniforms)
            return jnp.concatenate([windows[:, 1:], tokens[:, None]], axis=1), tokens

        found: jax.Array = lax.scan(step, windows, uniforms.T)[1].T
        return found

    counted = takes_seen(choose)
    return compiled(run, arithmetic, target)
