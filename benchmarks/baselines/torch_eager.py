"""The training loop in eager PyTorch on the CPU, float32: functional blocks, autograd, torch.optim.Adam.

A batch is padded to its longest document only. torch is imported when a trainer is made, since gptlab
does not depend on it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.task import Task


def trainer(task: Task) -> Callable[[int], np.ndarray]:
    """Raises ImportError without torch."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    w = {
        name: torch.tensor(array, dtype=torch.float32, requires_grad=True)
        for name, array in task.weights.items()
    }
    optimizer = torch.optim.Adam(
        w.values(), lr=task.learningRate, betas=(task.beta1, task.beta2), eps=task.epsAdam, fused=True
    )
    all_tokens = torch.from_numpy(task.tokens).long()
    all_lengths = torch.from_numpy(task.lengths).long()
    E, H = task.nEmbd, task.nHead

    def logits_of(tokens: Any) -> Any:
        B, T = tokens.shape
        x = F.embedding(tokens, w["tokenEmbedding"]) + w["positionEmbedding"][:T]
        x = F.rms_norm(x, (E,), eps=1e-5)
        for i in range(task.nLayer):
            normed = F.rms_norm(x, (E,), eps=1e-5)
            q, k, v = (
                F.linear(normed, w[f"layers.{i}.attention.{name}"]).view(B, T, H, E // H).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            heads = heads.transpose(1, 2).reshape(B, T, E)
            x = x + F.linear(heads, w[f"layers.{i}.attention.output"])
            hidden = F.relu(F.linear(F.rms_norm(x, (E,), eps=1e-5), w[f"layers.{i}.mlp.hidden"]))
            x = x + F.linear(hidden, w[f"layers.{i}.mlp.output"])
        return F.linear(x, w["output"])

    def loss_of(tokens: Any, lengths: Any) -> Any:
        T = int(lengths.max())
        logits = logits_of(tokens[:, :T])
        targets = tokens[:, 1 : T + 1]
        if len(tokens) == 1:
            return F.cross_entropy(logits[0], targets[0])
        losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        kept = torch.arange(T) < lengths[:, None]
        return ((losses * kept).sum(1) / lengths).mean()

    done = [0]

    def step(row: np.ndarray) -> float:
        rows = torch.from_numpy(row)
        loss = loss_of(all_tokens[rows], all_lengths[rows])
        for group in optimizer.param_groups:
            group["lr"] = task.learningRate * (1 - done[0] / task.numSteps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done[0] += 1
        return float(loss.detach())

    def run(steps: int) -> np.ndarray:
        return np.array([step(row) for row in task.rows(done[0], steps)])

    return run
