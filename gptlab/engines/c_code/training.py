"""A training step as a function of C: forward, backward and the optimizer's update of one batch of documents.

Legend: B documents of a batch, T + 1 tokens of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.engines.c_code.functions import Array, Function, function
from gptlab.engines.draws import key_of
from gptlab.engines.engine import Definition, Frozen, Optimizer, OptState, trained
from gptlab.engines.updating import updated
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_objective import mean_true_loss
from gptlab.engines.xla_programs import padded_losses
from gptlab.engines.xla_settings import begin, jax_precision

NAME = "train_step"


@dataclass(frozen=True)
class TrainStep:
    """The function `train_step`: weights and moments one step on, and `loss`, in nats a token, before it.

    Its inputs are `tokens` (B, T + 1), `lengths` (B,), `step`, from 1 up, and `rate`. moments: by the optimizer's name
    for them and the weight's, as they are before step 1.
    """

    function: Function
    moments: dict[tuple[str, str], tuple[Array, np.ndarray]]
    inputs: list[Array]
    loss: Array


def train_step_of(
    definition: Definition,
    optimizer: Optimizer,
    ops: OpTable,
    dtype: str,
    weights: Mapping[str, Array],
    start: Mapping[str, np.ndarray],
    shape: tuple[int, int],
    seed: int,
    frozen: Frozen = frozenset(),
) -> TrainStep:
    """weights: the arrays that are trained in place, with the numbers of `start` before step 1. shape: (B, T + 1).

    Raises UserError for what has no counterpart in C.
    """
    begin()
    arithmetic = XlaArithmetic(ops, dtype)
    kind = np.dtype(arithmetic.dtype)
    state: OptState = optimizer.init(trained(dict(start), frozen))
    moments = {
        (key, name): (Array(f"m{i}_{j}", tuple(np.shape(values)), kind), np.asarray(values))
        for i, (key, named) in enumerate(state.items())
        for j, (name, values) in enumerate(named.items())
    }
    tokens, lengths = (
        Array(n, s, np.dtype(np.int32)) for n, s in (("tokens", shape), ("lengths", shape[:1]))
    )
    step, rate, loss = (Array(name, (), kind) for name in ("step", "rate", "loss"))
    moved = [name for name in weights if name not in frozen]
    key = key_of(seed)

    def one(*arrays: Any) -> Any:
        named = dict(zip(weights, arrays, strict=False))
        flat = dict(zip(moments, arrays[len(weights) :], strict=False))
        held = {key: {name: flat[key, name] for name in by_name} for key, by_name in state.items()}
        its, long, number, pace = arrays[len(weights) + len(moments) :]
        drawing = key, lambda: number.astype(jnp.int32)

        def objective(some: Any) -> Any:
            return padded_losses(definition, arithmetic, {**named, **some}, its, long, drawing)

        def again(some: Any) -> Any:
            (value, _), grads = jax.value_and_grad(objective, has_aux=True)(some)
            return value, grads

        params = {name: named[name] for name in moved}
        (value, (nats, found)), grads = jax.value_and_grad(objective, has_aux=True)(params)
        after, held = updated(optimizer, jnp, params, grads, held, number, pace, again=again, loss=value)
        total = jnp.sum(long).astype(nats.dtype)
        flat = {(key, name): array for key, named in held.items() for name, array in named.items()}
        return [mean_true_loss(nats, found, total), *(after[n] for n in moved), *(flat[k] for k in moments)]

    inputs = [tokens, lengths, step, rate]
    kept = [array for array, _ in moments.values()]
    with jax_precision(arithmetic.dtype):
        made = function(
            NAME,
            one,
            [*weights.values(), *kept, *inputs],
            [loss, *(weights[name] for name in moved), *kept],
        )
    return TrainStep(made, moments, inputs, loss)
