"""Where values lie: one arena for each type, in which a place is used again once nobody reads what was there."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gptlab.engines.c_code.values import Stored, c_type

ALIGNED = 16  # numbers: a place begins where vectors do


class Arena:
    """First fit. Types lie apart, since C lets no memory be of two. prefix: of the arrays' names."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self.sizes: dict[str, int] = {}  # numbers, by type of C
        self._used: dict[str, list[tuple[int, int]]] = {}
        self._made = 0

    def new(self, shape: tuple[int, ...], dtype: Any) -> Stored:
        kind = c_type(dtype)
        used = self._used.setdefault(kind, [])
        size = max(1, -(-prod(shape) // ALIGNED) * ALIGNED)
        begin = 0
        for other, length in used:
            if begin + size <= other:
                break
            begin = other + length
        used.append((begin, size))
        used.sort()
        self.sizes[kind] = max(self.sizes.get(kind, 0), begin + size)
        self._made += 1
        return Stored(f"v{self._made}", shape, np.dtype(dtype), (begin, size))

    def free(self, value: Stored) -> None:
        assert value.place is not None
        self._used[c_type(value.dtype)].remove(value.place)

    def declared(self, value: Stored) -> str:
        """The statement that gives the place its name."""
        assert value.place is not None
        kind = c_type(value.dtype)
        return f"{kind} *const {value.name} = {self._prefix}arena_{kind} + {value.place[0]};"

    def definitions(self) -> list[str]:
        return [
            f"static {kind} {self._prefix}arena_{kind}[{size}];" for kind, size in sorted(self.sizes.items())
        ]
