"""The training loop in hand-written JAX: one `jit` of a `lax.scan` over the steps.

As somebody would write it for this one model: gradients by matrix, documents padded to blockSize,
all steps of a call compiled into one program, nothing on the host between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.task import Task


def rmsnorm(x: jax.Array) -> jax.Array:
    return x * (jnp.mean(x * x, -1, keepdims=True) + 1e-5) ** -0.5


def logits_of(task: Task, w: dict[str, jax.Array], tokens: jax.Array) -> jax.Array:
    """(B, T) tokens to (B, T, V) logits."""
    batch, length = tokens.shape
    dim = task.nEmbd // task.nHead
    causal = jnp.tril(jnp.ones((length, length), dtype=bool))
    x = rmsnorm(w["tokenEmbedding"][tokens] + w["positionEmbedding"][:length])
    for i in range(task.nLayer):
        normed = rmsnorm(x)
        q, k, v = (
            (normed @ w[f"layers.{i}.attention.{name}"].T).reshape(batch, length, task.nHead, dim)
            for name in ("query", "key", "value")
        )
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / np.sqrt(dim).astype(x.dtype)
        attention = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
        heads = jnp.einsum("bhts,bshd->bthd", attention, v).reshape(batch, length, task.nEmbd)
        x = x + heads @ w[f"layers.{i}.attention.output"].T
        hidden = jax.nn.relu(rmsnorm(x) @ w[f"layers.{i}.mlp.hidden"].T)
        x = x + hidden @ w[f"layers.{i}.mlp.output"].T
    return x @ w["output"].T


def loss_of(task: Task, w: dict[str, jax.Array], tokens: jax.Array, lengths: jax.Array) -> jax.Array:
    """The mean over documents (B, T+1) of the mean cross-entropy of each."""
    log_probabilities = jax.nn.log_softmax(logits_of(task, w, tokens[:, :-1]))
    losses = -jnp.take_along_axis(log_probabilities, tokens[:, 1:, None], -1)[..., 0]
    kept = jnp.arange(losses.shape[1]) < lengths[:, None]
    return jnp.mean(jnp.sum(jnp.where(kept, losses, 0.0), 1) / lengths)


def trainer(task: Task) -> Callable[[int], np.ndarray]:
    dtype = os.environ.get("JAX_PLAIN_DTYPE", "float32")
    weights = {name: jnp.asarray(array, dtype) for name, array in task.weights.items()}
    zeros = {name: jnp.zeros_like(array) for name, array in weights.items()}
    beta1, beta2 = task.beta1, task.beta2

    def step(carry: Any, batch: Any) -> Any:
        w, m, v, s = carry
        tokens, lengths = batch
        loss, g = jax.value_and_grad(lambda w: loss_of(task, w, tokens, lengths))(w)
        rate = task.learningRate * (1 - s / task.numSteps)
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
        mean, square = 1 - beta1 ** (s + 1), 1 - beta2 ** (s + 1)
        w = jax.tree.map(
            lambda w, m, v: w - rate * (m / mean) / (jnp.sqrt(v / square) + task.epsAdam), w, m, v
        )
        return (w, m, v, s + 1), loss

    @jax.jit
    def train(carry: Any, tokens: jax.Array, lengths: jax.Array) -> Any:
        return jax.lax.scan(step, carry, (tokens, lengths))

    state = [(weights, zeros, zeros, jnp.asarray(0, dtype))]
    done = [0]

    def run(steps: int) -> np.ndarray:
        rows = task.rows(done[0], steps)
        state[0], losses = train(state[0], task.tokens[rows], task.lengths[rows].astype(dtype))
        done[0] += steps
        return np.asarray(losses)

    return run
