"""One forward and backward pass of a model that tells what goes on inside it. Legend: see inspection.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.engine import causal_context
from gptlab.engines.xla_arrays import XlaArrays
from gptlab.engines.xla_cache import keep_compiled_programs
from gptlab.engines.xla_programs import compiled, tensors
from gptlab.inspection.tapping import RecordingArrays, TappedBlock
from gptlab.model.gpt import GPT


@dataclass(frozen=True)
class Seen:
    """losses (T,); logits (T, V); attention (L, H, T, T); lens (L+1, T, V) probabilities; hidden and the
    gradient of the mean loss with respect to it, (L+1, T, E); that with respect to each weight."""

    losses: np.ndarray
    logits: np.ndarray
    attention: np.ndarray
    lens: np.ndarray
    hidden: np.ndarray
    gradients: np.ndarray
    weight_gradients: dict[str, np.ndarray]


def look(
    definition: GPT, ops: OpTable, weights: Mapping[str, np.ndarray], tokens: np.ndarray, targets: np.ndarray
) -> Seen:
    """The pass over tokens (T,), each followed by its target; in float64 if the weights are."""
    dtype = "float64" if any(np.asarray(w).dtype == np.float64 for w in weights.values()) else "float32"
    sizes = definition.sizes
    keep_compiled_programs()
    with jax.enable_x64(dtype == "float64"):
        # numpy, not jax: each small thing that jax makes apart from the program would be compiled, too.
        given = {name: np.asarray(array, dtype) for name, array in weights.items()}
        shifts = np.zeros((sizes.nLayer + 1, len(tokens), sizes.nEmbd), dtype)
        program = look_program(definition, XlaArrays(ops, dtype))
        (_, parts), (weight_gradients, gradients) = program(given, shifts, tokens, targets)
        losses, logits, shares, lens, hidden = map(np.asarray, parts)
        named = {name: np.asarray(weight_gradients[name]) for name in weights}
        return Seen(losses, logits, shares, lens, hidden, np.asarray(gradients), named)


@lru_cache(maxsize=8)  # a compiled program each
def look_program(definition: GPT, arrays: XlaArrays) -> Callable[..., Any]:
    """(weights, shifts (L+1, T, E), tokens, targets) -> (mean loss, parts of Seen), gradients by the first two."""

    def mean_loss(weights: dict[str, jax.Array], shifts: jax.Array, tokens: Any, targets: Any) -> Any:
        recording = RecordingArrays(arrays.ops, arrays.dtype)
        tapped = TappedBlock(definition.block, shifts, recording)
        model = dataclasses.replace(definition, block=tapped)
        named = tensors(weights, recording)
        logits = model.logits(named, tokens, causal_context(len(tokens))).data
        losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], -1)[:, 0]
        read = [definition.readout(named, Tensor(x, recording)).data for x in tapped.hidden]
        hidden, lens = jnp.stack(tapped.hidden), jax.nn.softmax(jnp.stack(read))
        return losses.mean(), (losses, logits, jnp.stack(tapped.shares), lens, hidden)

    return compiled(jax.value_and_grad(mean_loss, argnums=(0, 1), has_aux=True), arrays, one_thread=False)
