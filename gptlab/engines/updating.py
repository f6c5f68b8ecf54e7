"""An optimizer's update as an engine calls it: with more than the gradient, where it asks for more."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from gptlab.engines.engine import NamedArrays, Optimizer, OptState

Again = Callable[
    [NamedArrays], tuple[Any, NamedArrays]
]  # params -> the batch's objective there, its gradient
OFFERED = ("again", "loss")


def updated(
    optimizer: Any,
    xp: Any,
    params: NamedArrays,
    grads: NamedArrays,
    state: OptState,
    step: Any,
    learningRate: Any,
    *,
    again: Again,
    loss: Any,
) -> tuple[NamedArrays, OptState]:
    """What the optimizer's `update` gives. again, loss: for one that has such an argument (engine.Optimizer)."""
    offered = {"again": again, "loss": loss}
    also = {name: offered[name] for name in _asked_by(optimizer.__class__)}
    result: tuple[NamedArrays, OptState] = optimizer.update(
        xp, params, grads, state, step, learningRate, **also
    )
    return result


@lru_cache(maxsize=64)
def _asked_by(kind: Hashable) -> tuple[str, ...]:
    """Those of `OFFERED` that the `update` of this class of optimizers takes."""
    taken = inspect.signature(kind.update).parameters  # type: ignore[attr-defined]
    return tuple(name for name in OFFERED if name in taken)


def global_norm(xp: Any, arrays: NamedArrays) -> Any:
    """The Euclidean norm of all numbers of all arrays."""
    return xp.sqrt(sum(xp.sum(a * a) for a in arrays.values()))


class Given(NamedTuple):
    """What an update is given, of which something around an optimizer may give it another."""

    params: NamedArrays
    grads: NamedArrays
    learningRate: Any
    again: Again


@dataclass(frozen=True)
class Around:
    """The base of what stands around an optimizer, and is one: its state and what it has evaluated are the inner one's.

    It treats each number by itself if the inner one does, but for what it takes over all numbers there are.
    """

    inner: Optimizer

    def changed(self, xp: Any, given: Given) -> Given:
        """What the inner one is given instead."""
        return given

    def init(self, params: NamedArrays) -> OptState:
        return self.inner.init(params)

    def update(
        self,
        xp: Any,
        params: NamedArrays,
        grads: NamedArrays,
        state: OptState,
        step: Any,
        learningRate: Any,
        again: Again,
        loss: Any,
    ) -> tuple[NamedArrays, OptState]:
        params, grads, learningRate, again = self.changed(xp, Given(params, grads, learningRate, again))
        return updated(self.inner, xp, params, grads, state, step, learningRate, again=again, loss=loss)

    def evaluation_weights(self, xp: Any, params: NamedArrays, state: OptState) -> NamedArrays | None:
        """The inner one's; None if it has none."""
        method = getattr(self.inner, "evaluation_weights", None)
        chosen: NamedArrays | None = None if method is None else method(xp, params, state)
        return chosen


def innermost(optimizer: Any) -> Any:
    """The optimizer that others stand around."""
    while isinstance(optimizer, Around):
        optimizer = optimizer.inner
    return optimizer
