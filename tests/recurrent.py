"""Components that carry something along the positions, for tests: no attention in them but where it says so."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gptlab.autograd.tensor import Tensor


def sigmoid(x: Tensor) -> Tensor:
    return (x * 0.5).apply("tanh") * 0.5 + 0.5


@dataclass(frozen=True)
class Lstm:
    """An LSTM (Hochreiter, Schmidhuber 1997) in the place of attention: its state is two rows (1, H)."""

    def weights(self, config: Any) -> Any:
        width = config.nHead * config.headDim
        return {
            "input": (4 * width, config.nEmbd),
            "state": (4 * width, width),
            "output": (config.nEmbd, width),
        }

    def __call__(self, weights: Any, x: Tensor, position: Any, context: Any, config: Any) -> Tensor:
        width = config.nHead * config.headDim

        def step(state: Any, given: Tensor) -> Any:
            gates = given + state["hidden"] @ weights["state"].T
            forget, take, give, new = (gates[:, i * width : (i + 1) * width] for i in range(4))
            cell = sigmoid(forget) * state["cell"] + sigmoid(take) * new.apply("tanh")
            hidden = sigmoid(give) * cell.apply("tanh")
            return {"hidden": hidden, "cell": cell}, hidden

        zeros = x.constant(np.zeros((1, width)))
        given = (x @ weights["input"].T).reshape(-1, 1, 4 * width)
        hidden = context.scan(step, {"hidden": zeros, "cell": zeros}, given)
        return hidden.reshape(-1, width) @ weights["output"].T


@dataclass(frozen=True)
class Several:
    """Two scans and two distances in each layer, from a start that is learned, with a softmax in a step."""

    def weights(self, config: Any) -> Any:
        return {"start": (1, config.nEmbd), "near": (1, config.nEmbd), "far": (1, config.nEmbd)}

    def __call__(self, weights: Any, x: Tensor, position: Any, context: Any, config: Any) -> Tensor:
        def fading(state: Any, one: Tensor, other: Tensor) -> Any:
            (mean,) = state
            mean = mean * 0.5 + one.reshape(1, -1)
            shares = mean.softmax(np.ones((1, 1), dtype=bool))
            return (mean,), shares + other

        def summed(state: Tensor, row: Tensor) -> Any:
            return state + row, state + row * 2.0

        y = context.scan(fading, (weights["start"],), x, context.behind(x, 1) * weights["near"])
        far = context.behind(y.reshape(-1, config.nEmbd), 3) * weights["far"]
        return context.scan(summed, x.constant(np.zeros(config.nEmbd)), x) * 0.1 + far


@dataclass(frozen=True)
class Leaking(Lstm):
    """Is told that no document begins, and so goes on where its neighbour in the row has ended."""

    def __call__(self, weights: Any, x: Tensor, position: Any, context: Any, config: Any) -> Tensor:
        later = replace(context, positions=context.positions + 1)
        return super().__call__(weights, x, position, later, config)
