"""One loop over all numbers instead of one a matrix: what an elementwise optimizer gets on the xla engine.

Each kernel that XLA starts costs a fraction of a microsecond, and Adam starts several for each matrix: at 4,192
parameters that was a sixth of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from gptlab.engines.engine import NamedArrays
from gptlab.engines.updating import innermost


class FlatLayout:
    """Named arrays end to end: those of one axis as `vectors` (n,), all others as `matrices` (1, m).

    The number of axes stays what it was on either side of two, since optimizers ask for it (weight
    decay is for matrices).
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]):
        groups: dict[str, dict[str, tuple[int, ...]]] = {"vectors": {}, "matrices": {}}
        for name, shape in shapes.items():
            groups["vectors" if len(shape) == 1 else "matrices"][name] = shape
        self.groups = {group: named for group, named in groups.items() if named}
        self.order = list(shapes)

    def flatten(self, arrays: NamedArrays) -> NamedArrays:
        flat = {g: jnp.concatenate([arrays[n].ravel() for n in names]) for g, names in self.groups.items()}
        return {group: line if group == "vectors" else line[None] for group, line in flat.items()}

    def unflatten(self, flat: NamedArrays) -> NamedArrays:
        arrays: dict[str, jax.Array] = {}
        for group, shapes in self.groups.items():
            line, start = flat[group].reshape(-1), 0
            for name, shape in shapes.items():
                arrays[name] = line[start : start + prod(shape)].reshape(shape)
                start += prod(shape)
        return {name: arrays[name] for name in self.order}


class SeparateLayout:
    """Every array for itself: what other optimizers get."""

    def flatten(self, arrays: NamedArrays) -> NamedArrays:
        return arrays

    def unflatten(self, flat: NamedArrays) -> NamedArrays:
        return flat


Layout = FlatLayout | SeparateLayout


# Beyond this many numbers the kernels' starts are nothing beside what copying them to one place takes.
LARGEST = 500_000


def layout_of(optimizer: Any, weights: NamedArrays, spread: bool = False) -> Layout:
    """Flat where the optimizer's own class says `elementwise`; a subclass may have changed what it does.

    spread: over several devices, where each matrix has a place of its own.
    """
    if spread:
        return SeparateLayout()
    elementwise = vars(type(innermost(optimizer))).get("elementwise", False)
    if not elementwise or sum(array.size for array in weights.values()) > LARGEST:
        return SeparateLayout()
    return FlatLayout({name: array.shape for name, array in weights.items()})
