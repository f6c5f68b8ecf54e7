"""What an engine can tell of a training before it begins: the memory that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gptlab.engines.engine import Batches, NamedArrays, OptState


@dataclass(frozen=True)
class Needed:
    """Bytes of a training. state: weights and the optimizer's numbers. step: what a step takes besides. weights: they
    alone.

    free: what the device has for both; None where that is the process's own memory.
    """

    state: int
    step: int
    weights: int
    free: int | None = None


@runtime_checkable
class Foresees(Protocol):
    def needed(self, weights: NamedArrays, optimizer: OptState, batches: Batches) -> Needed | None:
        """Of training on batches like these; None where it cannot tell. Of the arrays only shapes matter; no step is
        taken."""
        ...
