"""The array namespace of plain Python floats: what ops see as `xp` in the scalar engine.

Names follow the Python array API standard. Python's `math` raises where IEEE 754 arithmetic
gives an infinity or NaN; `call` therefore falls back to numpy for exactly those inputs, so that
an overflow is a number here as it is in every other engine.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gptlab.autograd.op import Op

# What `math` has under the same names.
ALIKE = "exp log log1p expm1 tanh sqrt sin cos log2 exp2 frexp pow isnan isfinite"


class FloatNamespace:
    """`math` under the names of the array API, with numpy behind every name that is not here."""

    abs = staticmethod(abs)

    def __init__(self) -> None:
        vars(self).update((name, getattr(math, name)) for name in ALIKE.split())

    # The sign is that of x: a zero has one, which the whole numbers of Python lack.
    @staticmethod
    def floor(x: float) -> float:
        return math.copysign(math.floor(x), x)

    @staticmethod
    def ceil(x: float) -> float:
        return math.copysign(math.ceil(x), x)

    @staticmethod
    def round(x: float) -> float:
        return math.copysign(round(x), x)  # to even, as IEEE 754 and numpy do

    # What is not equal to itself is NaN, of which all three make NaN, as IEEE 754 and numpy do.
    @staticmethod
    def sign(x: float) -> float:
        return float((x > 0) - (x < 0)) if x == x else x

    @staticmethod
    def where(condition: Any, x: Any, y: Any) -> Any:
        return x if condition else y

    @staticmethod
    def maximum(x: float, y: float) -> float:
        return x if x >= y or x != x else y

    @staticmethod
    def minimum(x: float, y: float) -> float:
        return x if x <= y or x != x else y

    def __getattr__(self, name: str) -> Any:
        """numpy's, without its warnings: an infinity or NaN is a number here."""
        found = getattr(np, name)
        if isinstance(found, np.ufunc):
            found = np.errstate(all="ignore")(found)
        setattr(self, name, found)
        return found


FLOATS = FloatNamespace()


def call(op: Op, *xs: float) -> tuple[float, Sequence[float]]:
    """The op's value and local gradients at these numbers, infinities and NaN included."""
    try:
        made = op.forward(FLOATS, *xs)
        if type(made[0]) is not complex:  # what Python makes of the root of a negative number: NaN elsewhere
            return made
    except (ArithmeticError, ValueError):
        pass
    with np.errstate(all="ignore"):
        y, gradients = op.forward(np, *(np.float64(x) for x in xs))
    return float(y), tuple(float(g) for g in gradients)
