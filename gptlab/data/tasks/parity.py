"""Parity of bits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import xor
from random import Random

from gptlab.data.examples import Example
from gptlab.data.tasks.lengths import OfLength


@dataclass(frozen=True)
class Parity(OfLength):
    """`1 0 1 1 =` and its answer `1`: whether the number of ones is odd (Hahn 2020).

    length: how many bits. running: whether each bit is followed by the parity so far, `1 1 0 1 1 0 1 1`, so that each
    answer takes no more than the one before it and a bit.

    The answers count. The bits determine them, so the floor is 0; `chance` is ln 2. Label: length.

    Source: "Theoretical Limitations of Self-Attention in Neural Sequence Models".
    """

    length: int = 14
    running: bool = False

    def alphabet(self) -> Iterable[str]:
        return ["0 1" if self.running else "0 1 ="]

    def draw_of(self, random: Random, length: int) -> Example:
        bits = [int(bit) for bit in f"{random.getrandbits(length):0{length}b}"]
        if self.running:
            parts = [str(each) for pair in zip(bits, accumulate(bits, xor), strict=True) for each in pair]
        else:
            parts = [f"{' '.join(map(str, bits))} =", str(sum(bits) % 2)]
        return Example(parts, {"length": length}, nats=0.0)

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": math.log(2)}
