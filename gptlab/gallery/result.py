"""What an entry's runs have shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gptlab.gallery.entry import Entry
from gptlab.gallery.quantities import HOLDS, Found, Measured

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Result:
    """typed: overrides that stood in for the entry's. curves: by arm, place in the grid and seed, the metrics that the
    picture shows. found: of each claim. broken: the runs that broke down, with why."""

    entry: Entry
    seeds: tuple[int, ...]
    typed: tuple[str, ...]
    measured: Measured
    curves: Mapping[str, Sequence[Sequence[Mapping[str, Points]]]]
    found: tuple[Found, ...]
    broken: tuple[str, ...]

    @property
    def reproduced(self) -> bool:
        """Whether each of its claims holds."""
        return all(one.state == HOLDS for one in self.found)

    @property
    def verdict(self) -> str:
        return "reproduced" if self.reproduced else "not reproduced"
