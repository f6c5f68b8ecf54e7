"""Reparametrizations: what is trained in place of a model's weights, and how these are made of it in every step.

Legend: see component.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError, require
from gptlab.model.adapter import holding, unmatched
from gptlab.model.component import Part
from gptlab.model.init import is_product
from gptlab.model.objective import of_objective

KEY = "model.reparametrization"
Arrays = Mapping[str, np.ndarray]


class Reparametrization:
    """The base of reparametrizations.

    What is trained under the model's own name is used as it is. Each of the model's weights whose name is not trained
    is made by `matrix`. So a weight that is to be made must not be trained under its own name: by the names an engine
    tells what is trained from what was made of it.
    """

    def begun(self, weights: Arrays) -> dict[str, np.ndarray]:
        """What is trained, by full name, where the model's own weights (float64, all of them) begin as these.

        Names and shapes must not depend on the numbers. Raises UserError for a model that it is not for.
        """
        return dict(weights)

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        """The model's weight `name`, of what is trained: by Tensors, so that gradients flow through it."""
        raise NotImplementedError("a reparametrization says what a weight is made of")

    def check_start(self, weights: Arrays) -> None:
        """Raises UserError for weights of a run that it cannot go on from (initFrom)."""


@dataclass(frozen=True)
class NoReparametrization(Reparametrization):
    """None: the weights that are used are the ones that are trained."""


@dataclass(frozen=True)
class OfMatrices(Reparametrization):
    """The base of those that make each matrix of parts of its own, trained as `NAME.PART`.

    targets: matrices by name, or by a part of it between dots: `layers` is all of every layer, `attention.query` one of
    each. Embeddings, which are looked up by rows, and what has one axis are none.
    """

    targets: tuple[str, ...] = ("layers",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        if not self.targets:
            raise UserError(
                f"{KEY}.targets must name a matrix at least: got none. "
                f"Try {KEY}.targets=[layers], or model/reparametrization=none."
            )

    def parts(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        """The parts that are trained, by name, where the matrix begins as this one (out, in)."""
        raise NotImplementedError("it says what a matrix is made of")

    def made(self, parts: Part) -> Tensor:
        """The matrix (out, in) of its parts: `parts.direction`."""
        raise NotImplementedError("it says how a matrix is made")

    def begun(self, weights: Arrays) -> dict[str, np.ndarray]:
        matrices = [n for n, w in weights.items() if is_product(n, w.shape) and not of_objective(n)]
        for target in self.targets:
            if not holding(target, matrices):
                raise unmatched(f"{KEY}.targets", target, matrices, within=True)
        found: dict[str, np.ndarray] = {}
        for name, weight in weights.items():
            if name in matrices and any(holding(target, [name]) for target in self.targets):
                found |= {f"{name}.{part}": array for part, array in self.parts(weight).items()}
            else:
                found[name] = weight
        return found

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        return self.made(Part(weights, name))


@dataclass(frozen=True)
class WeightNorm(OfMatrices):
    """w = g · v / |v| for each row of a matrix (Salimans and Kingma 2016, "Weight Normalization").

    Trained are `direction` v (out, in) and `length` g (out). targets: as `attention.query`, that of every layer. The
    model begins as it would without; a row of zeros has length 0, and the direction of ones.
    """

    def parts(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        length = np.sqrt((matrix * matrix).sum(-1))
        return {"direction": np.where(length[..., None] > 0, matrix, 1.0), "length": length}

    def made(self, parts: Part) -> Tensor:
        v, g = parts["direction"], parts["length"]
        scale = g / (v * v).sum(-1) ** 0.5
        return v * scale.reshape(*scale.shape, 1)


@dataclass(frozen=True)
class SharedLayers(Reparametrization):
    """Layer i uses the weights of layer i mod period (Lan et al. 2019, "ALBERT"; Dehghani et al. 2018).

    period: the layers that have weights of their own, the first ones; 1 for one layer that is looped.
    """

    period: int = 1

    def __post_init__(self) -> None:
        require(f"{KEY}.period", self.period, at_least=1, example=1)

    def begun(self, weights: Arrays) -> dict[str, np.ndarray]:
        found, shared = {}, False
        for name, weight in weights.items():
            source = self.source(name)
            if source == name:
                found[name] = weight
                continue
            shared = True
            if source not in weights or weights[source].shape != weight.shape:
                has = "none" if source not in weights else f"of shape {weights[source].shape}"
                raise UserError(
                    f"layers that share weights must have the same ones: {name} has shape {weight.shape}, and "
                    f"{source} is {has}. Leave model.layers and model.pattern out, or try {KEY}.period=2."
                )
        if not shared:
            raise UserError(
                f"{KEY}.period must be below nLayer, or no layer shares weights: got period={self.period}. "
                f"Try model.nLayer={2 * self.period}."
            )
        return found

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        return weights[self.source(name)]

    def check_start(self, weights: Arrays) -> None:
        for name, weight in weights.items():
            source = self.source(name)
            if not np.array_equal(weight, weights[source]):
                raise UserError(
                    f"layers that share weights must start with the same: {name} and {source} differ in what initFrom "
                    "names. Try a run of model/reparametrization=sharedLayers, or leave initFrom out."
                )

    def source(self, name: str) -> str:
        """The name of the weight that is used as this one."""
        words = name.split(".")
        if words[0] == "layers":
            words[1] = str(int(words[1]) % self.period)
        return ".".join(words)
