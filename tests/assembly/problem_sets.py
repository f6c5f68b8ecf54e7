"""Small data sets with right answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems, Problems


@dataclass(frozen=True)
class Sums(Problems):
    """x + y mod p, all of them."""

    p: int = 7

    def examples(self) -> Sequence[Example]:
        pairs = [(x, y) for x in range(self.p) for y in range(self.p)]
        return [
            Example(
                [f"{x} + {y} =", f"{(x + y) % self.p}"], {"even": "yes" if x % 2 == 0 else "no"}, nats=0.0
            )
            for x, y in pairs
        ]

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"uniform": 2.0}


@dataclass(frozen=True)
class Digits(EndlessProblems):
    """A number twice."""

    most: int = 100_000
    longer: bool = False

    def draw(self, random: Random) -> Example:
        number = random.randrange(self.most)
        return Example([f"{number}>", f"{number}"], {"digits": len(str(number))}, ends=True)

    def alphabet(self) -> Iterable[str]:
        return ["0123456789>"]

    def held_out_sets(self) -> Mapping[str, Sequence[Example]]:
        if not self.longer:
            return {}
        return {
            "longer": [Example([f"{n}>", f"{n}"], {"digits": 6}, ends=True) for n in range(100_000, 100_005)]
        }
