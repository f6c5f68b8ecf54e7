"""A weight as a table of parameters shows it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Matrix:
    """One row of the parameter table: a weight by its full name, its shape, its number of entries."""

    name: str
    shape: tuple[int, ...]
    part: str  # embeddings, attention, mlp, norm, output
    count: int
    trainable: bool = True
