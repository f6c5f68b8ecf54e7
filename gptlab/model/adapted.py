"""A model with an adapter: what is trained is the adapter's, what is used is the two put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError
from gptlab.model.adapter import Adapter, matching, unmatched
from gptlab.model.component import Weight
from gptlab.model.gpt import GPT
from gptlab.model.init import drawn
from gptlab.model.matrix import Matrix
from gptlab.model.objective import of_objective
from gptlab.model.trains_others import TrainsOthers


@dataclass(frozen=True)
class Adapted(TrainsOthers):
    """A Definition of a GPT's weights with an adapter's behind them."""

    part: ClassVar[str] = "adapter"
    adapter: Adapter

    @cached_property
    def _adapted(self) -> frozenset[str]:
        return frozenset(self.adapter.adapted(self.shapes))

    def declared_weights(self) -> dict[str, Weight]:
        """The model's weights, then the adapter's."""
        return self.base.declared_weights() | self.adapter.weights(self.shapes)

    def adapter_weights(self, seed: int) -> dict[str, np.ndarray]:
        """float64 arrays by name: where the adapter starts."""
        return drawn(self.adapter.weights(self.shapes), self.base.initStd, (seed, 4))

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        return self.started(self.base.initial_weights(seed), seed)

    def started(self, own: Mapping[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
        return {**own, **self.adapter_weights(seed)}

    def matrices(self) -> list[Matrix]:
        rows = [
            Matrix(name, weight.shape, self.part, int(np.prod(weight.shape)))
            for name, weight in self.adapter.weights(self.shapes).items()
        ]
        return self.base.matrices() + rows

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's own weights, the adapter put into them; merged ones as they are."""
        own = {name: weights[name] for name in self.shapes}
        if all(name in own for name in weights):
            return own
        return {n: self.adapter.matrix(n, weights) if n in self._adapted else w for n, w in own.items()}


def frozen_names(freeze: list[str], definition: GPT | TrainsOthers) -> frozenset[str]:
    """The weights that are not trained: those that `freeze` names and, with an adapter, all of the model's own.

    Raises UserError for a name that no weight has, for what an adapter changes, and if nothing is left.
    """
    base = definition.base if isinstance(definition, Adapted) else definition
    names = list(base.declared_weights())
    named: set[str] = set()
    for prefix in freeze:
        found = matching(prefix, names)
        if not found:
            raise unmatched("train.freeze", prefix, names)
        named |= set(found)
    if isinstance(definition, Adapted):
        both = [name for name in definition.adapter.adapted(definition.shapes) if name in named]
        if both:
            raise UserError(
                f"train.freeze must not name what model.adapter.targets changes: both name {', '.join(both)}. "
                "Leave out train.freeze: with an adapter the model's own matrices are frozen as it is."
            )
        return frozenset(name for name in names if not of_objective(name))
    if len(named) == len(names):
        raise UserError(
            f"train.freeze must leave something to train: it names all of {', '.join(names)}. Leave one out."
        )
    return frozenset(named)
