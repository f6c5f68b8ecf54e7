"""Values of a traced program in C: numbers in an array, and expressions that are computed where they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isinf, isnan, prod
from typing import Any, Protocol

import numpy as np

from gptlab.errors import UserError

# The C type of each of numpy's.
TYPES = {
    "float32": "float",
    "float64": "double",
    "bool": "uint8_t",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}

Index = Sequence[str]  # an expression for each axis


def c_type(dtype: Any) -> str:
    name = np.dtype(dtype).name
    if name not in TYPES:
        raise UserError(
            f"a C program's numbers must be of {', '.join(TYPES)}: got {name}. Try engine.dtype=float32."
        )
    return TYPES[name]


class Value(Protocol):
    """An array of numbers, or of one number where the shape is ().

    cheap: whether an element costs no more than to read it. stored: the arrays that it reads.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def cheap(self) -> bool: ...

    @property
    def stored(self) -> frozenset[Stored]: ...

    def at(self, index: Index) -> str:
        """The expression for one element."""
        ...


@dataclass(frozen=True, eq=False)
class Stored:
    """Row by row in an array of C. place: where in the arena of its type; None for what has an array of its own."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    place: tuple[int, int] | None = None

    cheap = True

    @property
    def stored(self) -> frozenset[Stored]:
        return frozenset([self])

    @property
    def size(self) -> int:
        return prod(self.shape)

    def at(self, index: Index) -> str:
        return f"{self.name}[{flat(index, self.shape)}]"


@dataclass(frozen=True, eq=False)
class Computed:
    """An expression of other values, made anew wherever it is used."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    element: Callable[[Index], str]
    parts: tuple[Value, ...] = ()
    cheap: bool = False

    @property
    def stored(self) -> frozenset[Stored]:
        return frozenset().union(*(part.stored for part in self.parts))

    def at(self, index: Index) -> str:
        return self.element(index)


def view(of: Value, shape: Sequence[int], element: Callable[[Index], Index]) -> Computed:
    """The same elements elsewhere: `element` gives the index in `of` of an index in the view."""
    return Computed(tuple(shape), of.dtype, lambda index: of.at(element(index)), (of,), of.cheap)


def constant(value: Any, dtype: Any) -> Computed:
    """One number, written out where it is used."""
    text = literal(value, dtype)
    return Computed((), np.dtype(dtype), lambda index: text, cheap=True)


def literal(value: Any, dtype: Any) -> str:
    kind = np.dtype(dtype)
    if kind.kind != "f":
        text = str(int(value)) + ("u" if kind.kind == "u" else "")
        return f"({text})" if text.startswith("-") else text
    number = float(value)
    if isnan(number):
        return "NAN"
    if isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    # Nine digits tell each float32 from all others.
    text = f"{np.float32(number):.9g}" if kind.itemsize == 4 else repr(number)
    text += "" if any(sign in text for sign in ".e") else ".0"
    text += "f" if kind.itemsize == 4 else ""
    return f"({text})" if number < 0 else text


def flat(index: Index, shape: Sequence[int]) -> str:
    """The place in an array that lies row by row."""
    terms, stride = [], prod(shape)
    for i, size in zip(index, shape, strict=True):
        stride //= size or 1
        if size != 1 and i != "0":
            terms.append(i if stride == 1 else f"{bracketed(i)} * {stride}")
    return " + ".join(terms) or "0"


def bracketed(expression: str) -> str:
    return expression if expression.replace("_", "").isalnum() else f"({expression})"


def unflattened(place: str, shape: Sequence[int]) -> list[str]:
    """The index of each axis at a place in an array that lies row by row."""
    result, stride = [], prod(shape)
    for axis, size in enumerate(shape):
        stride //= size or 1
        inner = bracketed(place) if stride == 1 else f"{bracketed(place)} / {stride}"
        result.append("0" if size == 1 else inner if axis == 0 else f"({inner}) % {size}")
    return result


def names(prefix: str = "i") -> Iterator[str]:
    number = 0
    while True:
        yield f"{prefix}{number}"
        number += 1
