"""What every component shares: the sizes it may ask for, the weights it declares and is given.

Legend for gptlab/model: T positions of a row, S positions that may be attended to, E nEmbd,
H heads, D headDim, V vocabSize.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError, unknown_name

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """A weight matrix to be: its shape, and how its entries start.

    Entries are drawn from N(mean, std²); with `std=None` they are mean plus what the model's init says (`model/init`;
    by default N(0, initStd²)). init: a start of its own, `(name, weight, generator) -> array` as `Init.start` is, to
    which the mean is added. residual: whether it is what its layer adds by; by default if its name ends in `output`.
    """

    shape: Shape
    mean: float = 0.0
    std: float | None = None
    init: Callable[..., Any] | None = None
    residual: bool | None = None


Weights = Mapping[str, Tensor]
Declared = Mapping[str, Weight | Shape]


@dataclass(frozen=True)
class Sizes:
    """The sizes that components ask for, all settled: `config.nEmbd` in `weights(config)`.

    bias: whether a product with a matrix adds a vector, too, which starts at 0 (model.bias).
    """

    nLayer: int
    nEmbd: int
    nHead: int
    headDim: int
    blockSize: int
    vocabSize: int
    bias: bool = False


def biased(matrices: Mapping[str, Shape], config: Sizes) -> dict[str, Weight | Shape]:
    """The matrices, each with its bias behind it, `outputBias` of `output`, where the model has biases."""
    found: dict[str, Weight | Shape] = {}
    for name, shape in matrices.items():
        found[name] = shape
        if config.bias:
            found[f"{name}Bias"] = Weight((shape[0],), std=0.0)
    return found


def affine(weights: Weights, x: Tensor, name: str) -> Tensor:
    """x (T, E) times the matrix (D, E) of this name, plus its bias if it has one: (T, D)."""
    return with_bias(weights, x @ weights[name].T, name)


def with_bias(weights: Weights, x: Tensor, name: str) -> Tensor:
    """What a product with the matrix of this name has given, plus its bias if it has one."""
    bias = f"{name}Bias"
    return x + weights[bias] if bias in weights else x


def has_exact_gradient(component: Any) -> bool:
    """False if it says `exact_gradient = False`: it goes on as if a step of it had another derivative."""
    return bool(getattr(component, "exact_gradient", True))


class Part(Mapping[str, Tensor]):
    """One component's share of a model's weights, under the component's own names.

    `Part(weights, "layers.0.mlp")["hidden"]` is `weights["layers.0.mlp.hidden"]`; a component may
    also write `weights.hidden`. Asking for a weight that the component did not declare raises
    UserError with the names that it did.
    """

    __slots__ = ("_prefix", "_weights")

    def __init__(self, weights: Weights, prefix: str = ""):
        self._weights = weights
        self._prefix = f"{prefix}." if prefix else ""

    def within(self, name: str) -> Part:
        """The share of the component that this one keeps under `name`."""
        return Part(self._weights, f"{self._prefix}{name}")

    def __getitem__(self, name: str) -> Tensor:
        try:
            return self._weights[self._prefix + name]
        except KeyError:
            place = self._prefix.rstrip(".") or "the model"
            raise unknown_name(f"weight of {place}", name, self) from None

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}{name}" in self._weights

    def __iter__(self):  # type: ignore[no-untyped-def]
        return (name.removeprefix(self._prefix) for name in self._weights if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def place_of(part: Part) -> str:
    """Whose share it is, by its full name: `layers.0.mlp`; nothing for the whole model's."""
    return part._prefix.rstrip(".")


def declared(prefix: str, weights: Declared) -> dict[str, Weight]:
    """Declared weights under their full names, plain shapes made into `Weight`s.

    Raises UserError for a shape that is not made of positive whole numbers.
    """
    result = {}
    for name, weight in weights.items():
        full = f"{prefix}.{name}" if prefix else name
        made = weight if isinstance(weight, Weight) else Weight(tuple(weight))
        if not made.shape or not all(isinstance(n, int) and n > 0 for n in made.shape):
            raise UserError(f"the weight {full} must have positive whole sizes, got shape {made.shape}.")
        result[full] = made
    return result
