"""A model whose weights are made, in every step, of others that are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError
from gptlab.model.component import Shape, Weight
from gptlab.model.gpt import GPT, part_of
from gptlab.model.init import Init
from gptlab.model.matrix import Matrix
from gptlab.model.reparametrization import Reparametrization
from gptlab.model.trains_others import TrainsOthers
from gptlab.model.trial import ShapeArithmetic, shown, zeros


@dataclass(frozen=True)
class Reparametrized(TrainsOthers):
    """A Definition of what a reparametrization trains in place of a GPT's own weights."""

    part: ClassVar[str] = "reparametrization"
    reparametrization: Reparametrization

    @cached_property
    def _trained(self) -> dict[str, Shape]:
        # Not zeros, by which somebody might divide.
        ones = {name: np.ones(shape) for name, shape in self.shapes.items()}
        return {name: tuple(np.shape(array)) for name, array in self.reparametrization.begun(ones).items()}

    def declared_weights(self) -> dict[str, Weight]:
        return {name: Weight(shape) for name, shape in self._trained.items()}

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        return self._begun(self.base.initial_weights(seed))

    def started(self, own: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        """Raises UserError where it cannot go on from these."""
        found = self._begun({name: np.asarray(array, dtype=float) for name, array in own.items()})
        self.reparametrization.check_start(own)
        return found

    def _begun(self, own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {n: np.asarray(a, dtype=float) for n, a in self.reparametrization.begun(own).items()}

    def matrices(self) -> list[Matrix]:
        def part(name: str) -> str:
            return part_of(name if name in self.shapes else name.rpartition(".")[0])

        return [Matrix(n, shape, part(n), int(np.prod(shape))) for n, shape in self._trained.items()]

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's own weights, made of those that are trained; merged ones as they are."""
        if weights.keys() == self.shapes.keys():
            return {name: weights[name] for name in self.shapes}
        make = self.reparametrization.matrix
        return {name: weights[name] if name in weights else make(name, weights) for name in self.shapes}


def reparametrized(
    base: GPT, reparametrization: Reparametrization, ops: OpTable
) -> tuple[Reparametrized, list[str]]:
    """The two put together and tried on shapes, and the names of the ops by which the weights are made.

    Raises UserError, which names the reparametrization, for one that does not work, or makes nothing; and as `begun`.
    """
    definition = Reparametrized(base, reparametrization)
    does_not_work = f"the reparametrization {type(reparametrization).__name__} does not work"
    arithmetic = ShapeArithmetic(ops)
    try:
        declared = definition.declared_weights()
        if declared.keys() == definition.shapes.keys():
            raise UserError(
                f"{does_not_work}: it must train other names than the model's own, or nothing is made of them. "
                "Name what is trained in place of `query` `query.latent`, say."
            )
        named = {name: Tensor(zeros(weight.shape), arithmetic) for name, weight in declared.items()}
        try:
            merged = definition.merged(named)
        except UserError as error:
            raise UserError(f"{does_not_work}: {error}") from None
        for name, made in merged.items():
            if made.shape != definition.shapes[name]:
                raise UserError(
                    f"{does_not_work}: {name} must have shape {shown(definition.shapes[name])}, and is made with "
                    f"{shown(made.shape)}."
                )
    except (ValueError, TypeError, IndexError, LookupError, NotImplementedError) as error:
        raise UserError(
            f"{does_not_work}: {type(error).__name__}: {error}. Try python -m gptlab check."
        ) from error
    return definition, list(arithmetic.applied)


def check_rates(definition: Reparametrized, init: Init) -> None:
    """Raises UserError for an init that goes with rates for weights which are not trained, but made."""
    for name, factor in init.rates(definition.shapes).items():
        made_of = [part for part in definition.declared_weights() if part.startswith(f"{name}.")]
        if factor != 1 and made_of:
            raise UserError(
                f"{type(init).__name__} says at what rate {name} is trained, and "
                f"{type(definition.reparametrization).__name__} trains {made_of[0]} in its place, of which it says "
                "nothing. Try model/init=normal."
            )
