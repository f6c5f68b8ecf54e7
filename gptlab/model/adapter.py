"""Adapters: small matrices that are trained in place of large ones, and how the large ones are named for it.

Legend: see component.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError, nearest, require
from gptlab.model.component import Shape, Weight

PREFIX = "adapter."
SHOWN = 24  # names in an error


class Adapter:
    """The base of adapters: which weights they add to a model's, and what they make of the model's own."""

    def adapted(self, shapes: Mapping[str, Shape]) -> list[str]:
        """The names of the matrices that are adapted, in the model's order. Raises UserError for a wrong target."""
        return []

    def weights(self, shapes: Mapping[str, Shape]) -> dict[str, Weight]:
        """What is trained, by full name (`adapter. ...`), for a model of these shapes."""
        return {}

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        """The matrix to use instead of `weights[name]`, which is adapted."""
        return weights[name]


@dataclass(frozen=True)
class NoAdapter(Adapter):
    """None: the model's own weights are trained."""


@dataclass(frozen=True)
class LoRA(Adapter):
    """W + (alpha / rank) · B A for each target, of which B and A alone are trained (Hu et al. 2021, "LoRA").

    rank: rows of A, columns of B. alpha: the scale of what is learned is alpha / rank. targets: a
    matrix by its name, or by a part of it between dots: `attention.query` is that of every layer. A (rank x
    in) starts from N(0, 1/in), B (out x rank) at 0, so that the model starts as it was.
    """

    rank: int = 4
    alpha: float = 8.0
    targets: tuple[str, ...] = ("attention.query", "attention.value")

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        require("model.adapter.rank", self.rank, at_least=1, example=4)
        require("model.adapter.alpha", self.alpha, above=0, example=8)
        if not self.targets:
            raise UserError(
                "model.adapter.targets must name a matrix at least: got none. "
                "Try model.adapter.targets=[attention.query,attention.value], or model/adapter=none."
            )

    def adapted(self, shapes: Mapping[str, Shape]) -> list[str]:
        matrices = [name for name, shape in shapes.items() if len(shape) == 2]
        for target in self.targets:
            if not holding(target, matrices):
                raise unmatched("model.adapter.targets", target, matrices, within=True)
        return [name for name in matrices if any(holding(target, [name]) for target in self.targets)]

    def weights(self, shapes: Mapping[str, Shape]) -> dict[str, Weight]:
        result = {}
        for name in self.adapted(shapes):
            out, into = shapes[name]
            a, b = names_of(name)
            result[a] = Weight((self.rank, into), std=1 / math.sqrt(into))
            result[b] = Weight((out, self.rank), std=0.0)
        return result

    def matrix(self, name: str, weights: Mapping[str, Tensor]) -> Tensor:
        a, b = names_of(name)
        return weights[name] + (weights[b] @ weights[a]) * (self.alpha / self.rank)


def names_of(name: str) -> Sequence[str]:
    """The names of A and B of a matrix."""
    return f"{PREFIX}{name}.A", f"{PREFIX}{name}.B"


def beginning(prefix: str, names: Iterable[str]) -> list[str]:
    """The names that `prefix` is, or that begin with it up to a dot: `layers.1` does not mean `layers.10`."""
    return [name for name in names if f"{name}.".startswith(f"{prefix}.")]


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Those of `beginning`; of a pattern with `*`, which stands for any characters, those that it fits whole."""
    if "*" not in pattern:
        return beginning(pattern, names)
    fits = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return [name for name in names if fits.fullmatch(name)]


def holding(part: str, names: Iterable[str]) -> list[str]:
    """The names that hold `part` between dots: `attention.query` is in `layers.0.attention.query`."""
    return [name for name in names if f".{part}." in f".{name}."]


def parts_of(names: Sequence[str], within: bool) -> list[str]:
    """All that `beginning` (or `holding`, if `within`) would find something for, the shortest first."""
    found: dict[str, None] = {}
    for name in names:
        words = name.split(".")
        for first in range(len(words) if within else 1):
            for last in range(first + 1, len(words) + 1):
                if not words[first].isdigit():
                    found[".".join(words[first:last])] = None
    return sorted(found, key=lambda part: part.count("."))


def unmatched(
    key: str, given: str, names: Sequence[str], within: bool = False, of: str = "matrix"
) -> UserError:
    """The error for a part of `key` that no weight's name fits."""
    known = parts_of(names, within)
    close = nearest(given, known)
    guess = f"Did you mean {' or '.join(close)}? " if close else ""
    where = f"a {of}, or " + ("a part of its name between dots" if within else "how its name begins")
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return UserError(
        f"each of {key} must be {where}: got '{given}', which is not one. {guess}There are {listed}."
    )
