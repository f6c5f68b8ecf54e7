"""Copying a string, and picking it out of noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from gptlab.data.examples import Example
from gptlab.data.problems import WHOLE
from gptlab.data.tasks.lengths import OfLength
from gptlab.errors import require

NOISE, TURN = ".", ">"


@dataclass(frozen=True)
class Copy(OfLength):
    """`3 1 4 >` and its answer `3 1 4`; with noise, `3 . . 1 . 4 >`, selective copying (Gu and Dao 2023).

    length: of the string. symbols: how many there are. noise: how many tokens `.` stand at random places among those
    of the string.

    The answer counts, and its end where strings differ in length. The problem determines both, so the floor is 0;
    `chance` is the loss of a guess among what an answer is made of. Label: length.

    Source of selective copying: "Mamba: Linear-Time Sequence Modeling with Selective State Spaces".
    """

    length: int = 7
    symbols: int = 16
    noise: int = 0

    metrics: ClassVar[Sequence[Any]] = WHOLE

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.symbols", self.symbols, at_least=2, example=16)
        require("data.noise", self.noise, at_least=0, example=0)

    def alphabet(self) -> Iterable[str]:
        return [*map(str, range(self.symbols)), TURN, *([NOISE] if self.noise else [])]

    def draw_of(self, random: Random, length: int) -> Example:
        string = list(map(str, random.choices(range(self.symbols), k=length)))
        shown = string
        if self.noise:
            shown = [NOISE] * (length + self.noise)
            places = sorted(random.sample(range(len(shown)), length))
            for place, symbol in zip(places, string, strict=True):
                shown[place] = symbol
        parts = f"{' '.join(shown)} {TURN}", " ".join(string)
        return Example(parts, {"length": length}, nats=0.0, ends=self.variable)

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": math.log(self.symbols + self.variable)}
