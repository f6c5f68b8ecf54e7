"""Texts from a trained model, by gptlab and by hand-written JAX: the same weights, the same number of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.baselines import jax_plain
from benchmarks.task import documents_of, make_task
from gptlab.autograd.ops import OpTable
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from gptlab.training.generation import Sampling, generate, until

Generate = Callable[[float, int], list[str]]


def make_generator(implementation: str, sizes: dict[str, Any], samples: int, trained: int) -> Generate:
    """`generate(temperature, seed)` to texts, of a model trained for so many steps.

    Both train it with jax_plain: training is repeatable, and so they have the same weights.
    """
    task, definition = make_task(**sizes)
    tokenizer = documents_of(sizes["data"], task.blockSize)[1]
    weights = jax_plain.trained_weights(task, trained)
    if implementation == "jax_plain":
        tokens_of = jax_plain.generator(task, weights, samples)

        def plain(temperature: float, seed: int) -> list[str]:
            rows = tokens_of(temperature, seed).tolist()
            return [tokenizer.decode(until(row, tokenizer.bos)) for row in rows]

        return plain
    optimizer = Adam()
    session = XlaEngine().session(definition, optimizer, OpTable())
    state = session.init(weights, optimizer.init(weights))

    def gptlab(temperature: float, seed: int) -> list[str]:
        how = Sampling(n=samples, temperature=temperature, seed=seed)
        return generate(session, state, tokenizer, task.blockSize, how)

    return gptlab
