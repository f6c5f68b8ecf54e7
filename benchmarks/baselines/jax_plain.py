"""The training loop in hand-written JAX: one `jit` of a `lax.scan` over the steps.

As somebody would write it for this one model: gradients by matrix, documents padded to blockSize,
all steps of a call compiled into one program, nothing on the host between them. `generator` is the
sampling beside it: a cache of keys and values, one `jit`, a `lax.while_loop` over the positions.
"""

from __future__ import annotations

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


def trainer(task: Task, dtype: str = "float32") -> Callable[[int], np.ndarray]:
    with jax.enable_x64(dtype == "float64"):
        return make_run(task, dtype)[0]


def trained_weights(task: Task, steps: int) -> dict[str, np.ndarray]:
    """The weights after so many steps, float32: the same ones in every process of a machine."""
    run, weights = make_run(task, "float32")
    run(steps)
    return {name: np.asarray(array) for name, array in weights().items()}


def make_run(
    task: Task, dtype: str
) -> tuple[Callable[[int], np.ndarray], Callable[[], dict[str, jax.Array]]]:
    """`run(steps)`, and what gives the weights as they are by then."""
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
        with jax.enable_x64(dtype == "float64"):
            state[0], losses = train(state[0], task.tokens[rows], task.lengths[rows].astype(dtype))
        done[0] += steps
        return np.asarray(losses)

    return run, lambda: state[0][0]


def generator(task: Task, weights: dict[str, np.ndarray], samples: int) -> Callable[[float, int], np.ndarray]:
    """`generate(temperature, seed)` to (samples, blockSize) tokens that follow BOS; 0 takes the likeliest.

    BOS is the last id. After a document's end a row goes on with whatever is drawn.
    """
    w = {name: jnp.asarray(array, "float32") for name, array in weights.items()}
    bos, length, dim = task.vocabSize - 1, task.blockSize, task.nEmbd // task.nHead
    shape = (task.nLayer, samples, length, task.nHead, dim)

    def forward(w: Any, tokens: jax.Array, keys: jax.Array, values: jax.Array, t: jax.Array) -> Any:
        """(n,) tokens at position t to (n, V) logits."""
        x = rmsnorm(w["tokenEmbedding"][tokens] + w["positionEmbedding"][t])
        for i in range(task.nLayer):
            normed = rmsnorm(x)
            q, k, v = (
                (normed @ w[f"layers.{i}.attention.{name}"].T).reshape(samples, task.nHead, dim)
                for name in ("query", "key", "value")
            )
            keys, values = keys.at[i, :, t].set(k), values.at[i, :, t].set(v)
            scores = jnp.einsum("nhd,nshd->nhs", q, keys[i]) / np.float32(np.sqrt(dim))
            attention = jax.nn.softmax(jnp.where(jnp.arange(length) <= t, scores, -jnp.inf))
            heads = jnp.einsum("nhs,nshd->nhd", attention, values[i]).reshape(samples, task.nEmbd)
            x = x + heads @ w[f"layers.{i}.attention.output"].T
            hidden = jax.nn.relu(rmsnorm(x) @ w[f"layers.{i}.mlp.hidden"].T)
            x = x + hidden @ w[f"layers.{i}.mlp.output"].T
        return x @ w["output"].T, keys, values

    def draw(logits: jax.Array, uniforms: jax.Array, temperature: jax.Array) -> jax.Array:
        """The inverse of the distribution at one uniform number a row."""
        highest = jnp.max(logits, -1, keepdims=True)
        cumulative = jnp.cumsum(jnp.exp((logits - highest) / jnp.maximum(temperature, 1e-30)), -1)
        drawn = jnp.sum(cumulative <= uniforms[:, None] * cumulative[:, -1:], -1)
        return jnp.where(temperature > 0, drawn, jnp.argmax(logits, -1)).astype(jnp.int32)

    @jax.jit
    def program(w: Any, temperature: jax.Array, seed: jax.Array) -> jax.Array:
        uniforms = jax.random.uniform(jax.random.key(seed), (length, samples))

        def step(carry: Any) -> Any:
            t, tokens, ended, keys, values, rows = carry
            logits, keys, values = forward(w, tokens, keys, values, t)
            tokens = draw(logits, uniforms[t], temperature)
            return t + 1, tokens, ended | (tokens == bos), keys, values, rows.at[:, t].set(tokens)

        rows = jnp.full((samples, length), bos, dtype=jnp.int32)
        ended, cache = jnp.zeros(samples, dtype=bool), jnp.zeros(shape, jnp.float32)
        carry = (jnp.int32(0), jnp.full(samples, bos, dtype=jnp.int32), ended, cache, cache, rows)
        return jax.lax.while_loop(lambda c: (c[0] < length) & ~jnp.all(c[2]), step, carry)[-1]

    return lambda temperature, seed: np.asarray(program(w, np.float32(temperature), np.uint32(seed)))
