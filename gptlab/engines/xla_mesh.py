"""What lies where on a mesh of devices. The compiler moves the rest by it (GSPMD: Xu et al. 2021).

Rows of a step are split over the axis `data`. A sharded weight lies in parts over both axes, and is put together along
`data` where it is used (ZeRO: Rajbhandari et al. 2020); along `model` it stays in parts, as products do (Megatron-LM:
Shoeybi et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gptlab.engines.engine import NamedArrays
from gptlab.engines.spreading import AXES, DATA, MODEL, MeshSizes


@dataclass(frozen=True)
class Spread:
    """A mesh (data, model), and whether weights lie on it in parts."""

    mesh: Mesh
    sharded: bool

    @classmethod
    def of(cls, sizes: MeshSizes, devices: Sequence[Any]) -> Spread:
        """The first of these devices, in their order: neighbours share a matrix, which is the most to move."""
        shape = sizes.data, sizes.model
        some = np.array(devices[: sizes.data * sizes.model], dtype=object).reshape(shape)
        return cls(Mesh(some, AXES), sizes.sharded)

    @property
    def data(self) -> int:
        return int(self.mesh.shape[DATA])

    def at(self, *parts: Any) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(*parts))

    def lying(self, name: str, shape: Sequence[int]) -> NamedSharding:
        """Where a weight, or a number of the optimizer's for each of its entries, lies between two uses."""
        return self._weight(name, shape, lies=True)

    def in_use(self, name: str, shape: Sequence[int]) -> NamedSharding:
        """Where it lies while products are taken of it."""
        return self._weight(name, shape, lies=False)

    def _weight(self, name: str, shape: Sequence[int], lies: bool) -> NamedSharding:
        if not self.sharded:
            return self.at()
        sizes = dict(self.mesh.shape)
        parts: list[Any] = [None] * len(shape)
        for axis in by_size(name, shape) if sizes[MODEL] > 1 else ():
            if shape[axis] % sizes[MODEL] == 0:
                parts[axis] = MODEL
                break
        if lies and sizes[DATA] > 1:
            free = [axis for axis in by_size(name, shape) if parts[axis] is None]
            for axis in free:
                if shape[axis] % sizes[DATA] == 0:
                    parts[axis] = DATA
                    break
        return self.at(*parts)


def by_size(name: str, shape: Sequence[int]) -> list[int]:
    """The axes of a matrix, that to be split first in front; none of a vector, which is small.

    The longest: of a hidden layer's matrices that is the hidden side of either, so that what lies between the two
    products is never put together. Of a square one the side of the heads: of the last matrix of attention its inputs.
    """
    if len(shape) < 2:
        return []
    part, _, own = name.rpartition(".")
    first = len(shape) - 1 if part and own == "output" else 0
    return sorted(range(len(shape)), key=lambda axis: (-shape[axis], axis != first, axis))


def rows_split(spread: Spread | None, arrays: Any) -> Any:
    """Arrays with their first axis, of rows, split over the devices of `data`; on one device as they are."""
    if spread is None:
        return arrays
    sharding = spread.at(DATA)
    return jax.tree.map(lambda array: lax.with_sharding_constraint(array, sharding), arrays)


def lying(spread: Spread | None, named: NamedArrays) -> NamedArrays:
    """Weights, or what there is one of for each of their numbers, where they lie between two uses."""
    return named if spread is None else constrained(named, spread.lying)


def in_use(spread: Spread | None, named: NamedArrays) -> NamedArrays:
    """Weights where products are taken of them."""
    return named if spread is None else constrained(named, spread.in_use)


def constrained(named: NamedArrays, where: Callable[[str, Any], Any]) -> NamedArrays:
    """where: gives the sharding of a name and a shape."""
    return {
        name: lax.with_sharding_constraint(array, where(name, array.shape)) for name, array in named.items()
    }


def everywhere(spread: Spread | None, numbers: Any) -> Any:
    """Numbers that each device has, so that each process can read them."""
    if spread is None:
        return numbers
    return jax.tree.map(lambda array: lax.with_sharding_constraint(array, spread.at()), numbers)
