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


class Joined:
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

    def join(self, arrays: NamedArrays) -> NamedArrays:
        joined = {g: jnp.concatenate([arrays[n].ravel() for n in names]) for g, names in self.groups.items()}
        return {group: flat if group == "vectors" else flat[None] for group, flat in joined.items()}

    def split(self, joined: NamedArrays) -> NamedArrays:
        arrays: dict[str, jax.Array] = {}
        for group, shapes in self.groups.items():
            flat, start = joined[group].reshape(-1), 0
            for name, shape in shapes.items():
                arrays[name] = flat[start : start + prod(shape)].reshape(shape)
                start += prod(shape)
        return {name: arrays[name] for name in self.order}


class Apart:
    """Every array for itself: what other optimizers get."""

    def join(self, arrays: NamedArrays) -> NamedArrays:
        return arrays

    def split(self, joined: NamedArrays) -> NamedArrays:
        return joined


Layout = Joined | Apart


# Beyond this many numbers the kernels' starts are nothing beside what copying them to one place takes.
LARGEST = 500_000


def layout_of(optimizer: Any, weights: NamedArrays) -> Layout:
    """Joined where the optimizer's own class says `elementwise`; a subclass may have changed what it does."""
    elementwise = vars(type(optimizer)).get("elementwise", False)
    if not elementwise or sum(array.size for array in weights.values()) > LARGEST:
        return Apart()
    return Joined({name: array.shape for name, array in weights.items()})
