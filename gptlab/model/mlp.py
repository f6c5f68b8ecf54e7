"""The mlp of a block: `mlp(weights, x, activation)` on (T, E), each position by itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.errors import require
from gptlab.model.component import Declared, Sizes, Weights, affine, biased, with_bias

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class MLP:
    """output · activation(hidden · x).

    expansion: how many times as wide as the model the hidden layer is.
    """

    expansion: int = 4

    def __post_init__(self) -> None:
        require("model.mlp.expansion", self.expansion, at_least=1, example=4)

    def weights(self, config: Sizes) -> Declared:
        width = self.expansion * config.nEmbd
        return biased({"hidden": (width, config.nEmbd), "output": (config.nEmbd, width)}, config)

    def __call__(self, weights: Weights, x: Tensor, activation: Activation) -> Tensor:
        return affine(weights, activation(affine(weights, x, "hidden")), "output")


@dataclass(frozen=True)
class SwiGLU:
    """output · (activation(gate · x) * (hidden · x)) (Shazeer 2020, "GLU Variants"; SwiGLU with silu).

    width: of the hidden layer; by default 8/3 nEmbd, rounded up, so that the count of parameters is
    that of the plain mlp. Choose the activation with `model/activation=silu`.
    """

    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None:
            require("model.mlp.width", self.width, at_least=1, example=4)

    def weights(self, config: Sizes) -> Declared:
        width = self.width or -(-8 * config.nEmbd // 3)
        matrices = {
            "gate": (width, config.nEmbd),
            "hidden": (width, config.nEmbd),
            "output": (config.nEmbd, width),
        }
        return biased(matrices, config)

    def __call__(self, weights: Weights, x: Tensor, activation: Activation) -> Tensor:
        gate, hidden = x.products(weights["gate"], weights["hidden"])
        gate, hidden = with_bias(weights, gate, "gate"), with_bias(weights, hidden, "hidden")
        return affine(weights, activation(gate) * hidden, "output")


@dataclass(frozen=True)
class NoMLP:
    """Adds nothing: a block of attention alone (Elhage et al. 2021, "attention-only transformers")."""

    def weights(self, config: Sizes) -> Declared:
        return {}

    def __call__(self, weights: Weights, x: Tensor, activation: Activation) -> Tensor:
        return x.constant(np.zeros(x.shape))
