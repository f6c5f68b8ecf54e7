"""Sorting numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from gptlab.data.examples import Example
from gptlab.data.problems import WHOLE
from gptlab.data.tasks.lengths import OfLength
from gptlab.errors import require

TURN = ">"


@dataclass(frozen=True)
class Sort(OfLength):
    """`3 1 2 1 >` and its answer `1 1 2 3`: numbers in ascending order (Weiss et al. 2021).

    length: how many numbers. symbols: numbers are drawn from 0 to symbols - 1, and may come twice.

    The answer counts, and its end where lists differ in length. The problem determines both, so the floor is 0.
    Beside it: `chance`, the loss of a guess among what an answer is made of; `unordered`, the loss of who knows which
    numbers are left, and not which is next. Label: length.

    Source: "Thinking Like Transformers".
    """

    length: int = 7
    symbols: int = 16

    metrics: ClassVar[Sequence[Any]] = WHOLE

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.symbols", self.symbols, at_least=2, example=16)

    def alphabet(self) -> Iterable[str]:
        return [*map(str, range(self.symbols)), TURN]

    def draw_of(self, random: Random, length: int) -> Example:
        numbers = random.choices(range(self.symbols), k=length)
        parts = f"{' '.join(map(str, numbers))} {TURN}", " ".join(map(str, sorted(numbers)))
        return Example(parts, {"length": length}, nats=0.0, ends=self.variable)

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        answers = [example.parts[1].split() for example in examples]
        counted = sum(map(len, answers)) + self.variable * len(answers)
        left = {"unordered": math.fsum(map(orders, answers)) / counted} if counted else {}
        return {"chance": math.log(self.symbols + self.variable), **left}


def orders(answer: Sequence[str]) -> float:
    """ln of the number of different orders of these numbers: what it takes to guess one, drawn from what is left."""
    return math.lgamma(len(answer) + 1) - math.fsum(math.lgamma(n + 1) for n in Counter(answer).values())
