"""The training loop in numpy, float64, with gradients derived by hand for this one model.

A batch is padded to its longest document only, so that at batch 1 a document has its own length. All
weights are views into one vector in the order of DESIGN §2, and so are the gradients: query, key and
value are one product, and Adam is a few operations on whole vectors, in place.

Legend: B documents, T positions, E nEmbd, H heads, D headDim, V vocabulary, N = B * T.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.task import Task

Array = np.ndarray


def rmsnorm(x: Array) -> tuple[Array, Array]:
    """(..., E) to the normalized x and what it was multiplied by, (..., 1)."""
    scale = (np.einsum("...e,...e->...", x, x)[..., None] / x.shape[-1] + 1e-5) ** -0.5
    return x * scale, scale


def rmsnorm_backward(grad: Array, normed: Array, scale: Array) -> Array:
    along = np.einsum("...e,...e->...", grad, normed)[..., None] / normed.shape[-1]
    return (grad - normed * along) * scale


class Views:
    """One vector, and the matrices in it by name; `qkv.i` is query, key and value of a layer as one (3E, E)."""

    def __init__(self, task: Task):
        E = task.nEmbd
        self.flat = np.zeros(sum(array.size for array in task.weights.values()))
        self.named: dict[str, Array] = {}
        start = 0
        for name, array in task.weights.items():
            self.named[name] = self.flat[start : start + array.size].reshape(array.shape)
            if name.endswith("attention.query"):
                layer = name.split(".")[1]
                self.named[f"qkv.{layer}"] = self.flat[start : start + 3 * E * E].reshape(3 * E, E)
            start += array.size

    def __getitem__(self, name: str) -> Array:
        return self.named[name]


class Gradients:
    """The loss of a batch and its gradient, which it leaves in `self.g`."""

    def __init__(self, task: Task):
        self.task = task
        self.w, self.g = Views(task), Views(task)
        for name, array in task.weights.items():
            self.w[name][...] = array
        T = task.blockSize
        self.masked = np.where(np.tril(np.ones((T, T), dtype=bool)), 0.0, -np.inf)

    def __call__(self, tokens: Array, lengths: Array) -> float:
        """tokens (B, T+1), lengths (B,): the mean over documents of their mean cross-entropies."""
        task, w, g = self.task, self.w, self.g
        T = int(lengths.max())
        B, E, H, D = len(tokens), task.nEmbd, task.nHead, task.nEmbd // task.nHead
        N = B * T
        inputs, targets = tokens[:, :T].ravel(), tokens[:, 1 : T + 1].ravel()
        masked = self.masked[:T, :T]

        embedded = (w["tokenEmbedding"][inputs].reshape(B, T, E) + w["positionEmbedding"][:T]).reshape(N, E)
        first, first_scale = rmsnorm(embedded)
        x = first
        kept = []
        for i in range(task.nLayer):
            normed, scale = rmsnorm(x)
            qkv = (normed @ w[f"qkv.{i}"].T).reshape(B, T, 3, H, D).transpose(2, 0, 3, 1, 4)
            q, k, v = qkv[0] * D**-0.5, qkv[1], qkv[2]
            scores = q @ k.swapaxes(-1, -2) + masked
            scores -= scores.max(-1, keepdims=True)
            attention = np.exp(scores, out=scores)
            attention /= attention.sum(-1, keepdims=True)
            heads = (attention @ v).transpose(0, 2, 1, 3).reshape(N, E)
            x = x + heads @ w[f"layers.{i}.attention.output"].T
            normed_mlp, scale_mlp = rmsnorm(x)
            hidden = normed_mlp @ w[f"layers.{i}.mlp.hidden"].T
            np.maximum(hidden, 0.0, out=hidden)
            x = x + hidden @ w[f"layers.{i}.mlp.output"].T
            kept.append((normed, scale, q, k, v, attention, heads, normed_mlp, scale_mlp, hidden))

        logits = x @ w["output"].T
        logits -= logits.max(-1, keepdims=True)
        rows = np.arange(N)
        picked = logits[rows, targets]
        np.exp(logits, out=logits)
        sums = logits.sum(-1)
        share = np.where(np.arange(T) < lengths[:, None], 1 / (lengths[:, None] * B), 0.0).ravel()
        loss = float(share @ (np.log(sums) - picked))

        logits *= (share / sums)[:, None]
        logits[rows, targets] -= share
        np.matmul(logits.T, x, out=g["output"])
        dx = logits @ w["output"]
        for i in reversed(range(task.nLayer)):
            normed, scale, q, k, v, attention, heads, normed_mlp, scale_mlp, hidden = kept[i]
            np.matmul(dx.T, hidden, out=g[f"layers.{i}.mlp.output"])
            dhidden = dx @ w[f"layers.{i}.mlp.output"]
            dhidden *= hidden > 0
            np.matmul(dhidden.T, normed_mlp, out=g[f"layers.{i}.mlp.hidden"])
            dx = dx + rmsnorm_backward(dhidden @ w[f"layers.{i}.mlp.hidden"], normed_mlp, scale_mlp)

            np.matmul(dx.T, heads, out=g[f"layers.{i}.attention.output"])
            dheads = (dx @ w[f"layers.{i}.attention.output"]).reshape(B, T, H, D).transpose(0, 2, 1, 3)
            dscores = dheads @ v.swapaxes(-1, -2)
            dscores -= np.einsum("bhts,bhts->bht", dscores, attention)[..., None]
            dscores *= attention
            dqkv = np.empty((B, T, 3, H, D))
            dqkv[:, :, 0] = (dscores @ k).transpose(0, 2, 1, 3) * D**-0.5
            dqkv[:, :, 1] = (dscores.swapaxes(-1, -2) @ q).transpose(0, 2, 1, 3)
            dqkv[:, :, 2] = (attention.swapaxes(-1, -2) @ dheads).transpose(0, 2, 1, 3)
            flat = dqkv.reshape(N, 3 * E)
            np.matmul(flat.T, normed, out=g[f"qkv.{i}"])
            dx = dx + rmsnorm_backward(flat @ w[f"qkv.{i}"], normed, scale)

        dx = rmsnorm_backward(dx, first, first_scale)
        g["positionEmbedding"][:T] = dx.reshape(B, T, E).sum(0)
        g["positionEmbedding"][T:] = 0.0
        g["tokenEmbedding"][...] = 0.0
        np.add.at(g["tokenEmbedding"], inputs, dx)
        return loss


def trainer(task: Task) -> Callable[[int], np.ndarray]:
    gradients = Gradients(task)
    w, g = gradients.w.flat, gradients.g.flat
    m, v, update = np.zeros_like(w), np.zeros_like(w), np.empty_like(w)
    beta1, beta2 = task.beta1, task.beta2
    done = [0]

    def step(tokens: Array, lengths: Array) -> float:
        s = done[0]
        loss = gradients(tokens, lengths)
        np.multiply(g, 1 - beta1, out=update)
        np.multiply(m, beta1, out=m)
        np.add(m, update, out=m)
        np.multiply(g, g, out=g)
        np.multiply(g, 1 - beta2, out=g)
        np.multiply(v, beta2, out=v)
        np.add(v, g, out=v)
        np.multiply(v, 1 / (1 - beta2 ** (s + 1)), out=update)
        np.sqrt(update, out=update)
        np.add(update, task.epsAdam, out=update)
        np.divide(m, update, out=update)
        rate = task.learningRate * (1 - s / task.numSteps)
        np.multiply(update, rate / (1 - beta1 ** (s + 1)), out=update)
        np.subtract(w, update, out=w)
        done[0] += 1
        return loss

    def run(steps: int) -> np.ndarray:
        return np.array([step(task.tokens[row], task.lengths[row]) for row in task.rows(done[0], steps)])

    return run
