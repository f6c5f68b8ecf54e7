"""A layer that the backward pass may compute again: all that goes in and out of it, also what its context carries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gptlab.autograd.tensor import Tensor
from gptlab.engines.carried import Carried
from gptlab.engines.context import Context


def through(layer: Callable[[Context], Any], context: Context, x: Any) -> Any:
    """`layer(context)`, of a layer that reads x; Tensors, or lists of them, as blocks hand them on.

    Where the engine computes again instead of keeping, what the layer writes into `context.carried` and adds to
    penalties leaves it as the result does.
    """
    arithmetic = listed(x)[0].arithmetic
    if not arithmetic.remat or context.draws is None:
        return layer(context)
    names: list[tuple[str, str]] = []
    made: list[Any] = []

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
        names[:], made[:] = written, [found]
        return [tensor.data for tensor in (*listed(found), *written.values())]

    results = arithmetic.recomputed(run, context.draws.step)
    count = len(listed(made[0]))
    for (place, name), data in zip(names, results[count:], strict=True):
        where: Any = context.carried if place == "carried" else context.penalties
        where[name] = Tensor(data, arithmetic)
    outputs = [Tensor(data, arithmetic) for data in results[:count]]
    return type(made[0])(outputs) if isinstance(made[0], list | tuple) else outputs[0]


def listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]
