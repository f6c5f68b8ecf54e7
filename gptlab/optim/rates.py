"""Learning rates by name of weight, around whichever optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gptlab.engines.engine import NamedArrays, Optimizer, OptState, engines_of, evaluation_weights


@dataclass(frozen=True)
class RatesByName:
    """An optimizer that has each weight's learning rate multiplied by the weight's own factor.

    factors: (name, factor), 1 where a weight is not named. The optimizer's own update is asked once for each factor
    that there is: of the weights that have it where the optimizer is `elementwise`, else of all, since it may look at
    all of them.
    """

    optimizer: Optimizer
    factors: tuple[tuple[str, float], ...]

    @property
    def engines(self) -> tuple[str, ...] | None:
        return engines_of(self.optimizer)

    def init(self, params: NamedArrays) -> OptState:
        return self.optimizer.init(params)

    def update(
        self, xp: Any, params: NamedArrays, grads: NamedArrays, state: OptState, step: Any, learningRate: Any
    ) -> tuple[NamedArrays, OptState]:
        own = dict(self.factors)
        factor_of = {name: own.get(name, 1.0) for name in params}
        apart = vars(type(self.optimizer)).get("elementwise", False)
        moved: NamedArrays = {}
        kept: OptState = {}
        for factor in dict.fromkeys(factor_of.values()):
            mine = [name for name in params if factor_of[name] == factor]
            asked = mine if apart else list(params)
            rate = learningRate if factor == 1 else learningRate * factor
            some, moments = self.optimizer.update(
                xp,
                {name: params[name] for name in asked},
                {name: grads[name] for name in asked},
                {k: {n: a for n, a in named.items() if n in asked} for k, named in state.items()}
                if apart
                else state,
                step,
                rate,
            )
            moved |= {name: some[name] for name in mine}
            for key, named in moments.items():
                # What is kept under other names than the weights' is the first update's.
                others = {n: a for n, a in named.items() if n not in factor_of} if key not in kept else {}
                kept.setdefault(key, {}).update(others)
                kept[key].update({n: a for n, a in named.items() if factor_of.get(n) == factor})
        return {name: moved[name] for name in params}, {
            key: {name: kept[key][name] for name in named} for key, named in state.items()
        }

    def evaluation_weights(self, xp: Any, params: NamedArrays, state: OptState) -> NamedArrays:
        found = evaluation_weights(self.optimizer, xp, params, state)
        return params if found is None else found


def rates_by_name(optimizer: Optimizer, factors: Mapping[str, float]) -> Optimizer:
    """The optimizer itself where no factor is another than 1."""
    changed = tuple((name, float(factor)) for name, factor in factors.items() if factor != 1)
    return RatesByName(optimizer, changed) if changed else optimizer
