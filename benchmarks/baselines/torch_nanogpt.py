"""A GPT-2 of nanoGPT's kind in PyTorch, as somebody who knows torch writes it for speed; by itself in float32.

Fused attention, fused AdamW, clipped gradients, no biases, tied embeddings, and `torch.compile` around loss and
gradient if asked for. Legend: B documents, T positions, E nEmbd, H heads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.task import Task

EPS = 1e-5  # of layer norms


def trainer(task: Task, compiled: bool = False, half: bool = False) -> Callable[[int], np.ndarray]:
    """half: products in bfloat16, on the GPU where torch has one. Raises ImportError without torch."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    device = "cuda" if half and torch.cuda.is_available() else "cpu"
    w = {
        name: torch.tensor(array, dtype=torch.float32, device=device, requires_grad=True)
        for name, array in fused(task).items()
    }
    groups = [
        {"params": [p for p in w.values() if p.ndim > 1], "weight_decay": task.weightDecay},
        {"params": [p for p in w.values() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=task.learningRate, betas=(task.beta1, task.beta2), eps=task.epsAdam, fused=True
    )
    E, H = task.nEmbd, task.nHead

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(x, (E,), w[f"{name}.scale"], eps=EPS)

    def loss_of(tokens: Any) -> Any:
        B, T = tokens.shape[0], tokens.shape[1] - 1
        x = F.embedding(tokens[:, :-1], w["tokenEmbedding"]) + w["positionEmbedding"][:T]
        for i in range(task.nLayer):
            layer = f"layers.{i}"
            qkv = F.linear(norm(x, f"{layer}.attentionNorm"), w[f"{layer}.attention.qkv"])
            q, k, v = (part.view(B, T, H, E // H).transpose(1, 2) for part in qkv.split(E, dim=2))
            heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            heads = heads.transpose(1, 2).reshape(B, T, E)
            x = x + F.linear(heads, w[f"{layer}.attention.output"])
            hidden = F.linear(norm(x, f"{layer}.mlpNorm"), w[f"{layer}.mlp.hidden"])
            x = x + F.linear(F.gelu(hidden, approximate="tanh"), w[f"{layer}.mlp.output"])
        logits = F.linear(norm(x, "finalNorm"), w["tokenEmbedding"])
        return F.cross_entropy(logits.view(B * T, -1), tokens[:, 1:].reshape(-1))

    objective = torch.compile(loss_of) if compiled else loss_of
    all_tokens = torch.from_numpy(task.tokens).long().to(device)
    done = [0]

    def step(row: np.ndarray) -> float:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            loss = objective(all_tokens[torch.from_numpy(row).to(device)])
        for group in optimizer.param_groups:
            group["lr"] = task.learningRate * (1 - done[0] / task.numSteps)
        optimizer.zero_grad()
        loss.backward()
        if task.clip is not None:
            torch.nn.utils.clip_grad_norm_(w.values(), task.clip)
        optimizer.step()
        done[0] += 1
        return float(loss.detach())

    def run(steps: int) -> np.ndarray:
        return np.array([step(row) for row in task.rows(done[0], steps)])

    return run


def fused(task: Task) -> dict[str, np.ndarray]:
    """The task's weights, those of query, key and value of a layer as one matrix (3 E, E)."""
    weights = dict(task.weights)
    for i in range(task.nLayer):
        parts = [weights.pop(f"layers.{i}.attention.{name}") for name in ("query", "key", "value")]
        weights[f"layers.{i}.attention.qkv"] = np.concatenate(parts)
    return weights
