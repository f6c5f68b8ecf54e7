"""gptlab's own engines on a task: the same `trainer(task)` as the baselines have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.task import Task
from gptlab.autograd.ops import OpTable
from gptlab.data.batches import Ahead, Epochs
from gptlab.data.documents import Documents
from gptlab.model.gpt import GPT
from gptlab.optim.optimizers import Adam, AdamW
from gptlab.optim.transforms import Clipped


def trainer(task: Task, definition: GPT, engine: Any) -> Callable[[int], np.ndarray]:
    """What gptlab does between two logged steps: batches from the documents, then the engine's train."""
    optimizer = optimizer_of(task)
    session = engine.session(definition, optimizer, OpTable())
    longest = int(task.lengths.max())
    documents = Documents(task.tokens[:, : longest + 1], task.lengths)
    epochs = Epochs(documents, task.batchSize, seed=0, shuffle=False)
    state = [session.init(task.weights, optimizer.init(task.weights))]
    prepare = getattr(session, "prepare", lambda batches: batches)
    ahead = Ahead(lambda start, steps: prepare(epochs.chunk(start, steps)))

    def run(steps: int) -> np.ndarray:
        start = state[0].step
        rates = task.learningRate * (1 - np.arange(start, start + steps) / task.numSteps)
        batches = ahead.take(start, steps)
        ahead.begin(start + steps, steps)
        state[0], metrics = session.train(state[0], batches, rates)
        return metrics.minimized  # as the baselines have it: the mean over documents of each one's mean

    return run


def optimizer_of(task: Task) -> Any:
    settings = {"beta1": task.beta1, "beta2": task.beta2, "epsAdam": task.epsAdam}
    adam = AdamW(**settings, weightDecay=task.weightDecay) if task.weightDecay else Adam(**settings)
    return adam if task.clip is None else Clipped(adam, task.clip)
