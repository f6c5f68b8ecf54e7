"""A model as a function of C that takes one token more: what generation computes, with its keys and values kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.engines.c_code.functions import Array, Function, function
from gptlab.engines.engine import Definition
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_past import kept_of_each, next_logits
from gptlab.engines.xla_programs import tensors
from gptlab.engines.xla_settings import begin, jax_precision

NAME = "next_logits"
TOKEN, PLACE, LOGITS = "token", "place", "logits"


@dataclass(frozen=True)
class NextLogits:
    """The function `next_logits`: of `token` at `place`, 0 for the first, to the `logits` of what comes after it.

    weights: by their names in the model. kept: what is carried from one place to the next, all 0 before the first.
    """

    function: Function
    weights: dict[str, Array]
    kept: list[Array]
    token: Array
    place: Array
    logits: Array


def next_logits_of(
    definition: Definition, ops: OpTable, dtype: str, shapes: Mapping[str, tuple[int, ...]], length: int
) -> NextLogits:
    """For texts of at most `length` tokens. Raises UserError for what has no counterpart in C."""
    begin()
    arithmetic = XlaArithmetic(ops, dtype)
    kind = np.dtype(arithmetic.dtype)
    with jax_precision(arithmetic.dtype):
        weights = {
            name: Array(f"w{number}_{c_name(name)}", shape, kind)
            for number, (name, shape) in enumerate(shapes.items())
        }
        token, place = (Array(name, (), np.dtype(np.int32)) for name in (TOKEN, PLACE))
        shaped = {name: jnp.zeros(shape, kind) for name, shape in shapes.items()}
        calls, vocabulary = kept_of_each(definition, tensors(shaped, arithmetic), jnp.int32(0))
        logits = Array(LOGITS, (vocabulary,), kind)
        counts = [len(call.each) for call in calls]
        kept = [
            Array(f"kept{i}_{j}", tuple(shape), kind)
            for i, call in enumerate(calls)
            for j, shape in enumerate(call.shapes(length))
        ]

        def step(*arrays: Any) -> Any:
            named = dict(zip(weights, arrays, strict=False))
            token, place, *flat = arrays[len(weights) :]
            rest = iter(flat)
            buffers = [tuple(next(rest) for _ in range(count)) for count in counts]
            found, after = next_logits(definition, tensors(named, arithmetic), token, buffers, place, length)
            return [found, *(array for call in after for array in call)]

        inputs = [*weights.values(), token, place, *kept]
        made = function(NAME, step, inputs, [logits, *kept])
    return NextLogits(made, weights, kept, token, place, logits)


def c_name(name: str) -> str:
    return "".join(sign if sign.isalnum() and sign.isascii() else "_" for sign in name)
