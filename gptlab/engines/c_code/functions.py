"""A traced program as one function of C, whose inputs and results lie in arrays of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import numpy as np

from gptlab.engines.c_code import control, drawing, moving, products, reducing
from gptlab.engines.c_code.values import Stored, c_type
from gptlab.engines.c_code.writer import Handler, Writer

HANDLERS: dict[str, Handler] = {
    **moving.HANDLERS,
    **reducing.HANDLERS,
    **products.HANDLERS,
    **control.HANDLERS,
    **drawing.HANDLERS,
}


@dataclass(frozen=True)
class Array:
    """An array of the file that the function reads or writes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return prod(self.shape)

    def defined(self) -> str:
        return f"static {c_type(self.dtype)} {self.name}[{max(1, self.size)}];"

    def as_value(self) -> Stored:
        return Stored(self.name, self.shape, self.dtype)


@dataclass(frozen=True)
class Function:
    """source: definitions of an arena, of constants, and of `static void NAME(void)`.

    numbers: how many of each type the arena holds.
    """

    source: str
    numbers: dict[str, int]


def array_like(name: str, of: Any) -> Array:
    """of: what has a shape and a dtype."""
    return Array(name, tuple(of.shape), np.dtype(of.dtype))


def function(
    name: str, traced: Callable[..., Any], inputs: Sequence[Array], results: Sequence[Array]
) -> Function:
    """`traced` of as many arrays, which gives as many; each result goes where it says, after all have been computed.

    Raises UserError for what has no counterpart in C. To be called in the precision of the engine.
    """
    specs = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in inputs]
    closed = jax.make_jaxpr(traced)(*specs)
    writer = Writer(HANDLERS, f"{name}_")
    found = writer.write(closed.jaxpr, closed.consts, [array.as_value() for array in inputs])
    control.carried(writer, found, [array.as_value() for array in results])
    body = "\n".join(writer.lines)
    parts = [*writer.arena.definitions(), *writer.constants, "", f"static void {name}(void) {{", body, "}"]
    return Function("\n".join(parts), writer.arena.sizes)
