"""What a model costs on the xla engine: floating-point operations and activations, part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import (
    Definition,
    Frozen,
    NamedArrays,
    Optimizer,
    OptState,
    causal_context,
    trained,
)
from gptlab.engines.jaxpr_costs import SCOPE, Counted, counted, kept
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_programs import tensors
from gptlab.engines.xla_settings import jax_precision

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Costs:
    """Of one document of T positions, by part: the forward pass to the logits; loss and gradient; kept bytes.

    kept: what the backward pass needs of the forward pass, before XLA computes some of it again.
    """

    forward: Counted
    training: Counted
    kept: dict[str, int]


def scope(part: str) -> Any:
    """A context manager: what is traced within it is counted for this part."""
    return jax.named_scope(SCOPE + part)


def model_costs(
    definition: Definition, ops: OpTable, shapes: Shapes, frozen: Frozen, positions: int, dtype: str
) -> Costs:
    """Traced, not run: no number is computed. definition: with its parts in `scope`s."""
    with jax_precision(dtype):
        return traced_costs(definition, XlaArithmetic(ops, dtype), shapes, frozen, positions)


def traced_costs(
    definition: Definition, arithmetic: XlaArithmetic, shapes: Shapes, frozen: Frozen, positions: int
) -> Costs:
    context = causal_context(positions)
    weights = {name: jax.ShapeDtypeStruct(shape, arithmetic.dtype) for name, shape in shapes.items()}
    fixed = {name: weights[name] for name in frozen}
    row = jax.ShapeDtypeStruct((positions,), jnp.int32)

    def forward(named: NamedArrays, tokens: Any) -> Any:
        return definition.logits(tensors(named, arithmetic), tokens, context).data

    def loss(some: NamedArrays, others: NamedArrays, tokens: Any, targets: Any) -> Any:
        named = tensors({name: {**some, **others}[name] for name in shapes}, arithmetic)
        return jnp.mean(definition.losses(named, tokens, targets, context).data)

    def pullback(some: NamedArrays, others: NamedArrays, tokens: Any, targets: Any) -> Any:
        return jax.vjp(lambda w: loss(w, others, tokens, targets), some)[1]

    given = trained(weights, frozen), fixed, row, row
    return Costs(
        counted(jaxpr_of(forward, weights, row)),
        counted(jaxpr_of(jax.value_and_grad(loss), *given)),
        kept(jaxpr_of(pullback, *given), varying=2),
    )


def update_costs(optimizer: Optimizer, shapes: Shapes, dtype: str) -> Counted:
    """The optimizer's update of weights of these shapes."""

    def update(params: NamedArrays, grads: NamedArrays, state: Any, step: Any, rate: Any) -> Any:
        return optimizer.update(jnp, params, grads, state, step, rate)

    with jax_precision(dtype):
        weights = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}
        state, number = like(initial(optimizer, shapes, dtype)), jax.ShapeDtypeStruct((), dtype)
        return counted(jaxpr_of(update, weights, weights, state, number, number))


def initial(optimizer: Optimizer, shapes: Shapes, dtype: str) -> OptState:
    """The optimizer's state for weights of zeros, which take no memory until somebody writes to them."""
    return optimizer.init({name: np.zeros(shape, dtype) for name, shape in shapes.items()})


def like(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype), tree)


def jaxpr_of(function: Callable[..., Any], *arguments: Any) -> Any:
    return jax.make_jaxpr(function)(*arguments).jaxpr
