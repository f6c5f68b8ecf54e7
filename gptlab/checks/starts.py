"""Checks of inits and samplers: where a model begins, and how a token is drawn from what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.checks.check import Findings
from gptlab.checks.models import small_model
from gptlab.checks.trials import ScalarTrial
from gptlab.model.init import Init
from gptlab.plugins.registry import Registry

TOKENS = np.array([10, 3, 1, 4, 0, 10])


def check_an_init(registry: Registry, init: Any, findings: Findings) -> None:
    with findings.trying("is an Init") as fails:
        if not isinstance(init, Init):
            fails("it must be a gptlab.Init: class NAME(gptlab.Init)")
    if not findings.checks[-1].passed:
        return
    definition = small_model(registry, init=init)
    with findings.trying("weights of the declared shapes, finite"):
        weights = definition.initial_weights(0)
        wrong = [name for name, array in weights.items() if not np.isfinite(array).all()]
        if wrong or not np.isfinite(ScalarTrial(definition, OpTable()).loss(weights, TOKENS)):
            raise ValueError(f"numbers that are not finite, in {', '.join(wrong) or 'the loss'}")
    if not findings.checks[-1].passed:
        return
    with findings.trying("the seed's alone") as fails:
        again = definition.initial_weights(0)
        if differing := unlike(weights, again):
            fails(
                f"started again, {differing[0]} is another: draw from the generator that is given, and keep nothing"
            )
        if not unlike(weights, definition.initial_weights(1)):
            fails("another seed gives the same weights")
    with findings.trying("each weight by itself") as fails:
        shared = replace(definition, finalNorm=True, position=registry.get("position", "none")())
        other = shared.initial_weights(0)
        common = {name: array for name, array in weights.items() if name in other}
        if differing := unlike(common, other):
            fails(f"{differing[0]} starts otherwise where the model has other weights beside it")
    with findings.trying("rates of weights that there are") as fails:
        rates = init.rates(definition.shapes)
        if unknown := [name for name in rates if name not in weights]:
            fails(f"rates() names {unknown[0]}, which is no weight")
        if bad := [name for name, rate in rates.items() if not (np.isfinite(rate) and rate > 0)]:
            fails(f"rates() must give positive numbers: got {rates[bad[0]]} for {bad[0]}")


def unlike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """The weights of the first that are not the same to the bit in the second."""
    return [name for name, array in one.items() if array.tobytes() != other[name].tobytes()]
