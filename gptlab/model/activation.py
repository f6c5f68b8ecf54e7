"""Activations: what stands between the two products of an mlp, elementwise."""

import math
from dataclasses import dataclass

from gptlab.autograd.tensor import Tensor


@dataclass(frozen=True)
class Relu:
    """max(x, 0), the op `relu`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.apply("relu")


@dataclass(frozen=True)
class Tanh:
    """The op `tanh`."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.apply("tanh")


@dataclass(frozen=True)
class Silu:
    """x · sigmoid(x) (Elfwing, Uchibe, Doya 2017; also called swish)."""

    def __call__(self, x: Tensor) -> Tensor:
        # sigmoid(x) = (1 + tanh(x/2)) / 2, which never overflows as 1 / (1 + exp(-x)) does
        return x * ((x * 0.5).apply("tanh") * 0.5 + 0.5)


@dataclass(frozen=True)
class Gelu:
    """x · Φ(x) by its tanh approximation (Hendrycks, Gimpel 2016), the one that GPT-2 uses."""

    def __call__(self, x: Tensor) -> Tensor:
        inner = (x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)
        return x * (inner.apply("tanh") * 0.5 + 0.5)


@dataclass(frozen=True)
class Identity:
    """x as it comes: the mlp is one linear map then."""

    def __call__(self, x: Tensor) -> Tensor:
        return x
