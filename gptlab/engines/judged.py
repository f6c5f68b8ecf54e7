"""What an objective makes of a row: losses, and which positions count. Legend: T positions, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gptlab.autograd.tensor import Tensor

COUNTED = "counted"  # among the numbers of a step: the sum of the counts
PENALTY = "penalty/"  # before the names of the others


@dataclass(frozen=True)
class Judged:
    """losses: (T,), by the model's own ops. logits: (T, V). counts: (T,) numbers of at least 0, how much each position
    counts, or None where each counts 1.

    A document's loss is Σ counts · losses / Σ counts, and 0 where nothing counts.
    """

    losses: Tensor
    logits: Tensor
    counts: Any = None


def numbers_of_a_step(plain: bool, penalties: Iterable[str]) -> tuple[str, ...]:
    """What a step gives besides its losses: none of it for a model that is judged by all its next tokens alone."""
    names = [f"{PENALTY}{name}" for name in penalties]
    return (*names,) if plain else (COUNTED, *names)
