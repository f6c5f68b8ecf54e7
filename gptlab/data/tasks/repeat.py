"""A random sequence twice: what induction heads do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from gptlab.data.examples import Example
from gptlab.data.tasks.lengths import OfLength
from gptlab.errors import require


@dataclass(frozen=True)
class Repeat(OfLength):
    """`7 2 5 7 2 5`: a random sequence of different symbols, then again (Olsson et al. 2022).

    length: of the sequence, half of the document; shortest and longer likewise. symbols: how many there are. None
    comes twice in a sequence: where a symbol stood before tells what follows it. Sequences of one length
    (shortest=null) can be learned by looking back so many positions, which one layer does; of several lengths they
    take an induction head.

    The second half counts but for its first symbol, of which nothing tells that it comes. The floor is 0; `chance`,
    ln symbols, is the loss of a guess among all of them. Label: length.

    Sources: "In-context Learning and Induction Heads"; Elhage et al. 2021, "A Mathematical Framework for Transformer
    Circuits".
    """

    length: int = 8
    shortest: int | None = 4
    symbols: int = 32

    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        longest = self.longer or self.length
        require(
            "data.symbols", self.symbols, at_least=longest, unit="(none comes twice)", example=2 * longest
        )

    def alphabet(self) -> Iterable[str]:
        return map(str, range(self.symbols))

    def draw_of(self, random: Random, length: int) -> Example:
        first, *rest = map(str, random.sample(range(self.symbols), length))
        again = " ".join(rest)
        return Example((f"{first} {again} {first}", again), {"length": length}, nats=0.0)

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": math.log(self.symbols)}
