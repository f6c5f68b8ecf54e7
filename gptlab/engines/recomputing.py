"""A layer that the backward pass may compute again: all that goes in and out of it, also what its context carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gptlab.autograd.tensor import Tensor
from gptlab.engines.carried import Carried
from gptlab.engines.context import Context


def through(layer: Callable[[Context], Tensor], context: Context, x: Tensor) -> Tensor:
    """`layer(context)`, of a layer that reads x.

    Where the engine computes again instead of keeping, what the layer writes into `context.carried` and adds to
    penalties leaves it as the result does.
    """
    arithmetic = x.arithmetic
    if not arithmetic.remat or context.draws is None:
        return layer(context)
    names: list[tuple[str, str]] = []

    def run() -> list[Any]:
        carried = Carried(context.carried)
        penalties = None if context.penalties is None else dict(context.penalties)
        found = layer(replace(context, carried=carried, penalties=penalties))
        written = {
            ("carried", name): tensor
            for name, tensor in carried.items()
            if context.carried.get(name) is not tensor
        }
        for name, tensor in (penalties or {}).items():
            if context.penalties is not None and context.penalties.get(name) is not tensor:
                written["penalties", name] = tensor
        names[:] = written
        return [found.data, *(tensor.data for tensor in written.values())]

    found, *others = arithmetic.recomputed(run, context.draws.step)
    for (place, name), data in zip(names, others, strict=True):
        where: Any = context.carried if place == "carried" else context.penalties
        where[name] = Tensor(data, arithmetic)
    return Tensor(found, arithmetic)
