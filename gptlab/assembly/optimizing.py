"""The optimizer that a config describes: the one it selects, and around it what is asked for of any."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from gptlab.config.typed import SHARED, Chosen, TrainConfig
from gptlab.errors import UserError, require
from gptlab.model.adapter import matching, unmatched
from gptlab.model.component import Shape
from gptlab.optim.transforms import Averaged, ByName, Clipped, Decayed, Scaled
from gptlab.plugins.registry import Registry, build

KINDS = {"matrices": lambda shape: len(shape) > 1, "vectors": lambda shape: len(shape) < 2}
DECAY, RATES = "optimizer.decay", "train.rates"


def optimizer_of(chosen: Chosen, registry: Registry) -> Any:
    """The optimizer itself, of the fields of its own. Raises UserError for a name or a field that there is not."""
    cls = registry.entry("optimizer", chosen.name).value
    others = shared_names(cls)
    return build(registry, "optimizer", {key: value for key, value in chosen.items() if key not in others})


def shared_names(cls: type) -> set[str]:
    """The fields that it has because every optimizer has them."""
    own = {item.name for item in dataclasses.fields(cls)}
    return {item.name for item in dataclasses.fields(SHARED["optimizer"])} - own


def transformed(
    optimizer: Any,
    chosen: Chosen,
    train: TrainConfig,
    shapes: Mapping[str, Shape],
    initRates: Mapping[str, float] | None = None,
) -> Any:
    """The optimizer with what `chosen` and `train` ask for around it; itself where they ask for nothing.

    shapes: of the weights that are trained, by name. initRates: factors on the rate that the way in which weights start
    asks for (muP), which those of `train` multiply. Raises UserError for a pattern that fits none of them, for a
    number out of range, and for a decay that the optimizer would pay no heed to.
    """
    shared = shared_names(type(optimizer))
    clip = chosen.get("clip") if "clip" in shared else None
    decay = chosen.get("decay") if "decay" in shared else None
    result = by_name(optimizer, train.rates, decay or {}, shapes, initRates or {})
    if clip is not None:
        require("optimizer.clip", clip, above=0, example="1.0, or optimizer.clip=null")
        result = Clipped(result, float(clip))
    return result if train.average is None else Averaged(result, float(train.average))


def by_name(
    optimizer: Any,
    rates: Mapping[str, float],
    decay: Mapping[str, float],
    shapes: Mapping[str, Shape],
    initRates: Mapping[str, float],
) -> Any:
    """The optimizer with rates and decay by name of weight: a part for each pair of them that there is."""
    for pattern, value in rates.items():
        require(f"{RATES}.{pattern}", value, above=0, example=1.0)  # what stays as it is train.freeze names
    for pattern, value in decay.items():
        require(f"{DECAY}.{pattern}", value, at_least=0, example=0.1)
    factors, shares = by_weight(RATES, rates, shapes), by_weight(DECAY, decay, shapes)
    for name, factor in initRates.items():
        if name in shapes and factor != 1:
            factors[name] = factors.get(name, 1.0) * factor
    groups: dict[tuple[float | None, float | None], list[str]] = {}
    for name in shapes:
        groups.setdefault((factors.get(name), shares.get(name)), []).append(name)
    if set(groups) <= {(None, None)}:
        return optimizer
    parts = [
        part_of(optimizer, rate, share, {name: shapes[name] for name in names})
        for (rate, share), names in groups.items()
    ]
    return ByName(tuple(tuple(names) for names in groups.values()), tuple(parts))


def by_weight(key: str, given: Mapping[str, float], shapes: Mapping[str, Shape]) -> dict[str, float]:
    """The number of each weight that one is given for; of several patterns that fit the last one says it."""
    found: dict[str, float] = {}
    for pattern, value in given.items():
        fits = KINDS.get(pattern)
        names = matching(pattern, shapes) if fits is None else [n for n, s in shapes.items() if fits(s)]
        if not names and fits is None:
            raise unmatched(key, pattern, list(shapes))
        found |= dict.fromkeys(names, float(value))
    return found


def part_of(optimizer: Any, rate: float | None, share: float | None, shapes: Mapping[str, Shape]) -> Any:
    result = optimizer if share is None else decayed(optimizer, share, shapes)
    return result if rate is None else Scaled(result, rate)


def decayed(optimizer: Any, share: float, shapes: Mapping[str, Shape]) -> Any:
    """In the place of its own weight decay, if it has one, this; of one that keeps weights of its own, by its own."""
    own = isinstance(getattr(optimizer, "weightDecay", None), float)
    if not hasattr(optimizer, "evaluation_weights"):
        return Decayed(dataclasses.replace(optimizer, weightDecay=0.0) if own else optimizer, share)
    # It makes the params anew from its state, and so what had shrunk would be what it was.
    vectors = [name for name, shape in shapes.items() if len(shape) < 2]
    if share and (vectors or not own):
        why = f"its weightDecay is for matrices, and not {vectors[0]}" if own else "it has no weightDecay"
        raise UserError(
            f"{DECAY} must be something that the optimizer can apply: {type(optimizer).__name__} keeps weights in "
            f"its state, and {why}: got {share}. Try {DECAY}={{}}, or optimizer=adamw."
        )
    return dataclasses.replace(optimizer, weightDecay=share) if own else optimizer
