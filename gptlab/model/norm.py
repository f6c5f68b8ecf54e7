"""Norms: what keeps the size of a hidden state in hand, position by position."""

from dataclasses import dataclass

from gptlab.autograd.tensor import Tensor
from gptlab.model.component import Declared, Sizes, Weight, Weights


class Norm:
    """Each is a call `norm(weights, x)` on (T, E)."""

    scale: bool

    def weights(self, config: Sizes) -> Declared:
        return {"scale": Weight((config.nEmbd,), mean=1.0, std=0.0)} if self.scale else {}

    def scaled(self, weights: Weights, x: Tensor) -> Tensor:
        return x * weights["scale"] if self.scale else x


@dataclass(frozen=True)
class RMSNorm(Norm):
    """x · (mean(x²) + eps)^-½ (Zhang, Sennrich 2019).

    eps: what is added under the root, so that nothing is divided by 0. scale: times a learned vector that starts at 1.
    """

    eps: float = 1e-5
    scale: bool = False

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        mean_square = (x * x).mean(-1, keepdims=True)
        return self.scaled(weights, x * (mean_square + self.eps) ** -0.5)


@dataclass(frozen=True)
class LayerNorm(RMSNorm):
    """(x - mean(x)) · (var(x) + eps)^-½ (Ba, Kiros, Hinton 2016).

    scale: times a learned vector that starts at 1; where the model has biases (model.bias), another one is added.
    """

    def weights(self, config: Sizes) -> Declared:
        bias = {"bias": Weight((config.nEmbd,), std=0.0)} if self.scale and config.bias else {}
        return {**super().weights(config), **bias}

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        normed = super().__call__(weights, x - x.mean(-1, keepdims=True))
        return normed + weights["bias"] if "bias" in weights else normed


@dataclass(frozen=True)
class NoNorm(Norm):
    """x as it comes; scale: times a learned vector that starts at 1."""

    scale: bool = False

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        return self.scaled(weights, x)
