"""Optimizers: pure functions over named arrays. Steps count from 1; see engine.Optimizer for the contract."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gptlab.engines.engine import NamedArrays, OptState
from gptlab.errors import require


def zeros_like(params: NamedArrays) -> NamedArrays:
    return {name: np.zeros_like(np.asarray(array)) for name, array in params.items()}


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (Kingma, Ba 2015): p - rate · m̂ / (√v̂ + epsAdam).

    beta1, beta2: how much of the running means m of the gradient and v of its square is kept a step. epsAdam: what is
    added to the root, so that nothing is divided by 0.
    """

    beta1: float = 0.85
    beta2: float = 0.99
    epsAdam: float = 1e-8
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("optimizer.beta1", self.beta1, at_least=0, below=1, example=0.9)
        require("optimizer.beta2", self.beta2, at_least=0, below=1, example=0.99)
        # At 0 a weight that had no gradient yet becomes 0/0.
        require("optimizer.epsAdam", self.epsAdam, above=0, example="1e-8")

    def init(self, params: NamedArrays) -> OptState:
        return {"mean": zeros_like(params), "square": zeros_like(params)}

    def update(
        self, xp: Any, params: NamedArrays, grads: NamedArrays, state: OptState, step: Any, learningRate: Any
    ) -> tuple[NamedArrays, OptState]:
        mean = {n: self.beta1 * state["mean"][n] + (1 - self.beta1) * g for n, g in grads.items()}
        square = {n: self.beta2 * state["square"][n] + (1 - self.beta2) * g * g for n, g in grads.items()}
        mean_correction = 1 - self.beta1**step
        square_correction = 1 - self.beta2**step
        moved = {
            n: p
            - learningRate
            * (mean[n] / mean_correction)
            / (xp.sqrt(square[n] / square_correction) + self.epsAdam)
            for n, p in params.items()
        }
        return moved, {"mean": mean, "square": square}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019), on matrices and not on scales.

    weightDecay: the share that a matrix shrinks by a step, before it is multiplied by the learning rate.
    """

    weightDecay: float = 0.01
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require("optimizer.weightDecay", self.weightDecay, at_least=0, example=0.01)

    def update(
        self, xp: Any, params: NamedArrays, grads: NamedArrays, state: OptState, step: Any, learningRate: Any
    ) -> tuple[NamedArrays, OptState]:
        keep = 1 - learningRate * self.weightDecay
        shrunk = {n: p * keep if p.ndim > 1 else p for n, p in params.items()}
        return super().update(xp, shrunk, grads, state, step, learningRate)


@dataclass(frozen=True)
class SGD:
    """Gradient descent, with momentum if it is above 0 (Polyak 1964): v = momentum · v + g; p - rate · v.

    momentum: how much of the velocity v a step keeps.
    """

    momentum: float = 0.0
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("optimizer.momentum", self.momentum, at_least=0, below=1, example=0.9)

    def init(self, params: NamedArrays) -> OptState:
        return {"velocity": zeros_like(params)}

    def update(
        self, xp: Any, params: NamedArrays, grads: NamedArrays, state: OptState, step: Any, learningRate: Any
    ) -> tuple[NamedArrays, OptState]:
        velocity = {n: self.momentum * state["velocity"][n] + g for n, g in grads.items()}
        return {n: p - learningRate * velocity[n] for n, p in params.items()}, {"velocity": velocity}
