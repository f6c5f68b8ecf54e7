"""The compiled evaluation in which positions count differently, or metrics look at the logits. Legend: see engine.py;
P passes of R rows of W positions."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gptlab.engines.engine import Definition
from gptlab.engines.marks import told
from gptlab.engines.measured import Measures
from gptlab.engines.xla_arithmetic import XlaArithmetic, cross_entropy
from gptlab.engines.xla_compiled import Target, compiled
from gptlab.engines.xla_mesh import everywhere, in_use, rows_split
from gptlab.engines.xla_objective import counts_of
from gptlab.engines.xla_programs import PROGRAMS, Weights, shared_row, tensors


@lru_cache(maxsize=PROGRAMS)
def measure_program(
    definition: Definition, metrics: Measures, arithmetic: XlaArithmetic, target: Target
) -> Callable[..., Any]:
    """(weights, and tokens, targets, positions, documents, each (P, R, W)) -> true cross-entropies and counts, and of
    each metric by name what is right and its counts, all (P, R, W)."""

    def of_row(weights: Weights, tokens: Any, targets: Any, positions: Any, documents: Any) -> Any:
        tokens, targets, context = told(definition, tokens, targets, shared_row(positions, documents))
        judged = definition.judged(tensors(weights, arithmetic), tokens, targets, context)
        logits = judged.logits.data
        counts = jnp.where(documents >= 0, counts_of(judged.counts, logits[:, 0]), 0.0)
        found = {name: metric(jnp, logits, tokens, targets, counts) for name, metric in metrics}
        whole = {name: tuple(jnp.broadcast_to(x, counts.shape) for x in pair) for name, pair in found.items()}
        return cross_entropy(logits, targets), counts, whole

    def run(weights: Weights, *passes: jax.Array) -> Any:
        rows = jax.vmap(of_row, in_axes=(None, 0, 0, 0, 0))
        weights = in_use(target.spread, weights)
        found = lax.map(lambda arrays: rows(weights, *rows_split(target.spread, arrays)), passes)
        return everywhere(target.spread, found)

    return compiled(run, arithmetic, target)
