"""Norms: what keeps the size of a hidden state in hand, position by position.

Each is a call `norm(weights, x)` on (T, E).
"""

from dataclasses import dataclass

from gptlab.autograd.tensor import Tensor
from gptlab.model.component import Declared, Sizes, Weight, Weights


@dataclass(frozen=True)
class RMSNorm:
    """x · (mean(x²) + eps)^-½ (Zhang, Sennrich 2019); scale: times a learned vector that starts at 1."""

    eps: float = 1e-5
    scale: bool = False

    def weights(self, config: Sizes) -> Declared:
        return scale_weights(self.scale, config)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        mean_square = (x * x).mean(-1, keepdims=True)
        return scaled(self.scale, weights, x * (mean_square + self.eps) ** -0.5)


@dataclass(frozen=True)
class LayerNorm:
    """(x - mean(x)) · (var(x) + eps)^-½ (Ba, Kiros, Hinton 2016), without a bias.

    scale: times a learned vector that starts at 1.
    """

    eps: float = 1e-5
    scale: bool = False

    def weights(self, config: Sizes) -> Declared:
        return scale_weights(self.scale, config)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return scaled(self.scale, weights, centred * (variance + self.eps) ** -0.5)


@dataclass(frozen=True)
class NoNorm:
    """x as it comes; scale: times a learned vector that starts at 1."""

    scale: bool = False

    def weights(self, config: Sizes) -> Declared:
        return scale_weights(self.scale, config)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        return scaled(self.scale, weights, x)


def scale_weights(scale: bool, config: Sizes) -> Declared:
    return {"scale": Weight((config.nEmbd,), mean=1.0, std=0.0)} if scale else {}


def scaled(scale: bool, weights: Weights, x: Tensor) -> Tensor:
    return x * weights["scale"] if scale else x
