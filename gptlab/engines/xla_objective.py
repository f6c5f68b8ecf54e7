"""What the compiled steps add up where the objective is more than the mean cross-entropy of each next token.

Legend: B documents of a batch, T positions of one, W of a row that documents share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
from jax import lax

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.engines.engine import CROSS_ENTROPY, Definition
from gptlab.engines.judged import COUNTED, PENALTY, numbers_of_a_step
from gptlab.engines.marks import told
from gptlab.engines.xla_arithmetic import XlaArithmetic, cross_entropy


@dataclass(frozen=True)
class Positions:
    """Of each position (T,) its loss, as the gradient is taken of it, and by true arithmetic.

    counts: (T,), None where each counts 1. penalties: by name, (T,) each.
    """

    losses: Any
    true: Any
    counts: Any
    penalties: dict[str, Any]

    @property
    def plain(self) -> bool:
        """Whether the losses are all that there is."""
        return self.counts is None and not self.penalties


def positions_of(
    definition: Definition,
    named: dict[str, Tensor],
    arithmetic: XlaArithmetic,
    tokens: Any,
    targets: Any,
    context: Context,
) -> Positions:
    gathered: dict[str, Tensor] = {}
    tokens, targets, context = told(definition, tokens, targets, context)
    judged = definition.judged(named, tokens, targets, replace(context, penalties=gathered))
    losses = judged.losses.data
    if definition.plain and arithmetic.ops.standard(*CROSS_ENTROPY):
        true = losses
    else:
        true = cross_entropy(lax.stop_gradient(judged.logits.data), targets)
    counts = None if definition.plain else counts_of(judged.counts, losses)
    return Positions(losses, true, counts, {name: tensor.data for name, tensor in gathered.items()})


def counts_of(counts: Any, losses: Any) -> Any:
    """As numbers; through how much a position counts no gradient flows."""
    if counts is None:
        return jnp.ones_like(losses)
    return lax.stop_gradient(jnp.asarray(counts).astype(losses.dtype))


def zero_numbers(definition: Definition, arithmetic: XlaArithmetic, zero: Any) -> dict[str, Any]:
    """The numbers of a step before anything is added; empty for most models."""
    return dict.fromkeys(numbers_of_a_step(definition.plain, definition.penalties(arithmetic.ops)), zero)


def document_sums(positions: Positions, used: Any, predictions: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Of a document (T,) with a row of its own: its objective, the summed true losses of what counts, its numbers.

    used: which positions are no padding. predictions: how many.
    """
    losses, length = positions.losses, predictions.astype(positions.losses.dtype)
    if positions.counts is None:
        counts = used.astype(losses.dtype)
        whole = length
    else:
        counts = jnp.where(used, positions.counts, 0.0)
        whole = jnp.sum(counts)
    objective = weighed(losses, counts) / jnp.where(whole > 0, whole, 1.0)
    numbers = {} if positions.counts is None else {COUNTED: whole}
    for name, each in positions.penalties.items():
        numbers[PENALTY + name] = jnp.sum(jnp.where(used, each, 0.0)) / length
        objective = objective + numbers[PENALTY + name]
    return objective, weighed(positions.true, counts), numbers


def row_sums(
    positions: Positions, documents: Any, shares: Any, batch: int
) -> tuple[Any, Any, dict[str, Any]]:
    """Of a row (W,) that documents share what `document_sums` gives of one, each document a share of the batch's.

    shares: of each position in the mean over documents of the means over their positions; 0 where nothing stands.
    """
    used = shares > 0
    if positions.counts is None:
        counts = used.astype(positions.losses.dtype)
        weights = shares
        numbers = {}
    else:
        counts = jnp.where(used, positions.counts, 0.0)
        same = documents[:, None] == documents[None, :]
        whole = jnp.sum(jnp.where(same, counts[None, :], 0.0), axis=1)  # of each position's document
        weights = counts / (jnp.where(whole > 0, whole, 1.0) * batch)
        numbers = {COUNTED: jnp.sum(counts)}
    objective = weighed(positions.losses, weights)
    for name, each in positions.penalties.items():
        numbers[PENALTY + name] = jnp.sum(jnp.where(used, each * shares, 0.0))
        objective = objective + numbers[PENALTY + name]
    return objective, weighed(positions.true, counts), numbers


def weighed(losses: Any, weights: Any) -> Any:
    """Σ weights · losses; what stands where nothing counts need not be a number."""
    return jnp.sum(jnp.where(weights > 0, losses * weights, 0.0))


def mean_true_loss(nats: Any, numbers: dict[str, Any], predictions: Any) -> Any:
    """Nats a counted token of a step; 0 where none counts."""
    counted = numbers.get(COUNTED)
    if counted is None:
        return nats / predictions
    return nats / jnp.where(counted > 0, counted, 1.0)
