"""A model with an adapter: what is trained is the adapter's, what is used is the two put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.engines.judged import Judged
from gptlab.errors import UserError
from gptlab.model.adapter import Adapter, matching, unmatched
from gptlab.model.component import Shape, Sizes, Weight
from gptlab.model.gpt import GPT
from gptlab.model.init import drawn
from gptlab.model.matrix import Matrix
from gptlab.model.objective import of_objective


@dataclass(frozen=True)
class Adapted:
    """A Definition of a GPT's weights with an adapter's behind them; it evaluates merged weights as well."""

    base: GPT
    adapter: Adapter

    @property
    def sizes(self) -> Sizes:
        return self.base.sizes

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return self.base.shapes

    @cached_property
    def _adapted(self) -> frozenset[str]:
        return frozenset(self.adapter.adapted(self._shapes))

    def declared_weights(self) -> dict[str, Weight]:
        """The model's weights, then the adapter's."""
        return self.base.declared_weights() | self.adapter.weights(self._shapes)

    def adapter_weights(self, seed: int) -> dict[str, np.ndarray]:
        """float64 arrays by name: where the adapter starts."""
        return drawn(self.adapter.weights(self._shapes), self.base.initStd, (seed, 4))

    def initial_weights(self, seed: int) -> dict[str, np.ndarray]:
        return self.base.initial_weights(seed) | self.adapter_weights(seed)

    def matrices(self) -> list[Matrix]:
        rows = [
            Matrix(name, weight.shape, "adapter", int(np.prod(weight.shape)))
            for name, weight in self.adapter.weights(self._shapes).items()
        ]
        return self.base.matrices() + rows

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's own weights, the adapter put into them; merged ones as they are."""
        own = {name: weights[name] for name in self._shapes}
        if all(name in own for name in weights):
            return own
        return {n: self.adapter.matrix(n, weights) if n in self._adapted else w for n, w in own.items()}

    def logits(self, weights: Mapping[str, Tensor], tokens: Any, context: Context) -> Tensor:
        return self.base.logits(self.merged(weights), tokens, context)

    def losses(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Tensor:
        return self.base.losses(self.merged(weights), tokens, targets, context)

    @property
    def plain(self) -> bool:
        return self.base.plain

    def judged(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Judged:
        return self.base.judged(self.merged(weights), tokens, targets, context)

    def penalties(self, ops: OpTable) -> tuple[str, ...]:
        return self.base.penalties(ops)


def frozen_names(freeze: list[str], definition: GPT | Adapted) -> frozenset[str]:
    """The weights that are not trained: those that `freeze` names and, with an adapter, all of the model's own.

    Raises UserError for a name that no weight has, for what an adapter changes, and if nothing is left.
    """
    base = definition if isinstance(definition, GPT) else definition.base
    names = list(base.declared_weights())
    named: set[str] = set()
    for prefix in freeze:
        found = matching(prefix, names)
        if not found:
            raise unmatched("train.freeze", prefix, names)
        named |= set(found)
    if not isinstance(definition, GPT):
        both = [name for name in definition.adapter.adapted(base.shapes) if name in named]
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
