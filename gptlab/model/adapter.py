"""Adapters: small matrices that are trained in place of large ones. Legend: see component.py."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError
from gptlab.model.component import Shape, Weight
from gptlab.model.naming import holding, unmatched

PREFIX = "adapter."


class Adapter:
    """The base of adapters: which weights they add to a model's, and what they make of the model's own."""

    def adapted(self, shapes: Mapping[str, Shape]) -> list[str]:
        """The names of the matrices that are adapted, in the model's order. Raises UserError for a wrong target."""
        return []

    def weights(self, shapes: Mapping[str, Shape]) -> dict[str, Weight]:
        """What is trained, by full name (`adapter. ...`), for a model of these shapes."""
        return {}

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        """The matrix to use instead of `weights[name]`, which is adapted."""
        return weights[name]


@dataclass(frozen=True)
class NoAdapter(Adapter):
    """None: the model's own weights are trained."""


@dataclass(frozen=True)
class LoRA(Adapter):
    """W + (alpha / rank) · B A for each target, of which B and A alone are trained (Hu et al. 2021, "LoRA").

    rank: rows of A, columns of B. alpha: the scale of what is learned is alpha / rank. targets: a
    matrix by its name, or by a part of it between dots: `attention.query` is that of every layer. A (rank x
    in) starts from N(0, 1/in), B (out x rank) at 0, so that the model starts as it was.
    """

    rank: int = 4
    alpha: float = 8.0
    targets: tuple[str, ...] = ("attention.query", "attention.value")

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if self.rank < 1:
            raise UserError(
                f"model.adapter.rank must be at least 1: got {self.rank}. Try model.adapter.rank=4."
            )
        if not 0 < self.alpha < math.inf:
            raise UserError(
                f"model.adapter.alpha must be a number above 0: got {self.alpha}. Try model.adapter.alpha=8."
            )
        if not self.targets:
            raise UserError(
                "model.adapter.targets must name a matrix at least: got none. "
                "Try model.adapter.targets=[attention.query,attention.value], or model/adapter=none."
            )

    def adapted(self, shapes: Mapping[str, Shape]) -> list[str]:
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        for target in self.targets:
            if not holding(target, matrices):
                raise unmatched("model.adapter.targets", target, matrices, within=True)
        return [name for name in matrices if any(holding(target, [name]) for target in self.targets)]

    def weights(self, shapes: Mapping[str, Shape]) -> dict[str, Weight]:
        result = {}
        for name in self.adapted(shapes):
            out, into = shapes[name]
            a, b = names_of(name)
            result[a] = Weight((self.rank, into), std=1 / math.sqrt(into))
            result[b] = Weight((out, self.rank), std=0.0)
        return result

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        a, b = names_of(name)
        return weights[name] + (weights[b] @ weights[a]) * (self.alpha / self.rank)


def names_of(name: str) -> Sequence[str]:
    """The names of A and B of a matrix."""
    return f"{PREFIX}{name}.A", f"{PREFIX}{name}.B"
