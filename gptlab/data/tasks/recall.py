"""Associative recall: which value stood beside a key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems
from gptlab.data.tasks.lengths import drawn
from gptlab.errors import require


@dataclass(frozen=True)
class Recall(EndlessProblems):
    """`k3 v7 k1 v2 k1 v2 k3 v7`: keys and their values, then keys again, each with its value (Arora et al. 2023).

    pairs: how many; keys differ, values may be the same. fewest: the fewest pairs, each number between being as
    likely; null for always `pairs`. queries: how many of the keys come again, each once, in random order, with
    nothing between (the paper lays them among other tokens, the farther off the rarer); null for all. keys, values:
    the sizes of the two vocabularies. harder: null, or the most pairs in a held-out set of its own, `harder`, whose
    numbers of pairs begin where those to train on end.

    The values of the keys that come again count. The pairs determine them, so the floor is 0. Beside it: `chance`, ln
    values; `seen`, the loss of a guess among the values of the document's pairs. Label: pairs.

    Source: "Zoology: Measuring and Improving Recall in Efficient Language Models" (multi-query associative recall).
    """

    pairs: int = 4
    fewest: int | None = None
    queries: int | None = None
    keys: int = 16
    values: int = 16
    harder: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.pairs", self.pairs, at_least=2, example=4)
        if self.fewest is not None:
            require("data.fewest", self.fewest, at_least=2, at_most=self.pairs, example="2, or null")
        if self.queries is not None:
            require(
                "data.queries",
                self.queries,
                at_least=1,
                at_most=self.fewest or self.pairs,
                example="1, or null",
            )
        if self.harder is not None:
            require(
                "data.harder", self.harder, above=self.pairs, example=f"{2 * self.pairs}, or null for none"
            )
        most = self.harder or self.pairs
        require("data.keys", self.keys, at_least=most, unit="(each pair has its own)", example=4 * most)
        require("data.values", self.values, at_least=2, example=16)

    def alphabet(self) -> Iterable[str]:
        yield from (f"k{key}" for key in range(self.keys))
        yield from (f"v{value}" for value in range(self.values))

    def draw(self, random: Random) -> Example:
        return self.draw_of(
            random, self.pairs if self.fewest is None else random.randint(self.fewest, self.pairs)
        )

    def draw_of(self, random: Random, pairs: int) -> Example:
        """A problem of so many pairs."""
        keys = random.sample(range(self.keys), pairs)
        values = random.choices(range(self.values), k=pairs)
        parts = [" ".join([f"k{key} v{value}" for key, value in zip(keys, values, strict=True)])]
        for i in random.sample(range(pairs), pairs if self.queries is None else self.queries):
            parts[-1] = f"{parts[-1]} k{keys[i]}".strip()
            parts += f"v{values[i]}", ""
        return Example(parts[:-1], {"pairs": pairs}, nats=0.0)

    def held_out_sets(self) -> Mapping[str, Sequence[Example]]:
        if self.harder is None:
            return {}
        most = self.harder
        return drawn(
            self, "harder", lambda random: self.draw_of(random, random.randint(self.pairs + 1, most))
        )

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        losses = [loss for example in examples for loss in guesses(example)]
        seen = {"seen": math.fsum(losses) / len(losses)} if losses else {}
        return {"chance": math.log(self.values), **seen}


def guesses(example: Example) -> list[float]:
    """The loss at each answer of a guess among the values of the document's pairs."""
    shown = example.parts[0].split()[1::2]
    return [-math.log(shown.count(value) / len(shown)) for value in example.parts[1::2]]
