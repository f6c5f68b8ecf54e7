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


class FloatNamespace:
    """`math` under the names of the array API, with numpy behind every name that is not here."""

    exp = staticmethod(math.exp)
    log = staticmethod(math.log)
    log1p = staticmethod(math.log1p)
    expm1 = staticmethod(math.expm1)
    tanh = staticmethod(math.tanh)
    sqrt = staticmethod(math.sqrt)
    sin = staticmethod(math.sin)
    cos = staticmethod(math.cos)
    abs = staticmethod(abs)
    log2 = staticmethod(math.log2)
    exp2 = staticmethod(math.exp2)
    frexp = staticmethod(math.frexp)
    pow = staticmethod(math.pow)
    isnan = staticmethod(math.isnan)
    isfinite = staticmethod(math.isfinite)

    @staticmethod
    def floor(x: float) -> float:
        return float(math.floor(x))

    @staticmethod
    def ceil(x: float) -> float:
        return float(math.ceil(x))

    @staticmethod
    def round(x: float) -> float:
        return float(round(x))  # to even, as IEEE 754 and numpy do

    @staticmethod
    def sign(x: float) -> float:
        return float((x > 0) - (x < 0))

    @staticmethod
    def where(condition: Any, x: Any, y: Any) -> Any:
        return x if condition else y

    @staticmethod
    def maximum(x: float, y: float) -> float:
        return x if x >= y else y

    @staticmethod
    def minimum(x: float, y: float) -> float:
        return x if x <= y else y

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


FLOATS = FloatNamespace()


def call(op: Op, *xs: float) -> tuple[float, Sequence[float]]:
    """The op's value and local gradients at these numbers, infinities and NaN included."""
    try:
        return op.forward(FLOATS, *xs)
    except (ArithmeticError, ValueError):
        with np.errstate(all="ignore"):
            y, gradients = op.forward(np, *(np.float64(x) for x in xs))
        return float(y), tuple(float(g) for g in gradients)
