"""Markov chains that are learned in context: each document has a chain of its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from gptlab.data.examples import Example
from gptlab.data.tasks.lengths import OfLength
from gptlab.errors import require


@dataclass(frozen=True)
class Markov(OfLength):
    """Each document is drawn from a Markov chain of its own, to be learned in context (Edelman et al. 2024).

    length: of the document. states: how many symbols there are. order: how many of the last symbols the next one
    depends on. The rows of a chain's matrix are drawn from Dirichlet(1, ..., 1), and the first `order` symbols
    uniformly: the paper's come from the chain's stationary distribution, which tells something of the matrix, so that
    what follows would hold only nearly.

    All symbols after the first `order` count. The best prediction is the mean of the matrix given what came so far,
    and that is (1 + how often the symbol followed the last `order` ones) / (states + how often these came). Its loss
    is the `floor`, exact for these documents. Beside it: `chance`, ln states; `unigram`, by 1 + how often the symbol
    came; `bigram`, by 1 + how often it followed the last one, which for order=1 is the floor itself; `matrix`, what
    is lost on average by who is told each document's matrix, which no model is. Label: length.

    Source: "The Evolution of Statistical Induction Heads: In-Context Learning Markov Chains".
    """

    length: int = 16
    states: int = 3
    order: int = 1

    least: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.states", self.states, at_least=2, example=3)
        require("data.order", self.order, at_least=1, below=self.shortest or self.length, example=1)

    def alphabet(self) -> Iterable[str]:
        return map(str, range(self.states))

    def draw_of(self, random: Random, length: int) -> Example:
        # A row from Dirichlet(1, ..., 1) and then symbols from the row are as likely as what comes out of an urn with a
        # ball of each symbol, to which each ball that is drawn returns with another of its kind (Blackwell and
        # MacQueen 1973). So the matrix itself is not needed.
        states, order = self.states, self.order
        chain = [int(random.random() * states) for _ in range(order)]
        urns: dict[tuple[int, ...], list[int]] = {}
        for i in range(length - order):
            behind = tuple(chain[i:])
            urn = urns.get(behind)
            if urn is None:
                urn = urns[behind] = list(range(states))
            symbol = urn[int(random.random() * len(urn))]
            urn.append(symbol)
            chain.append(symbol)
        words = list(map(str, chain))
        parts = " ".join(words[:order]), " ".join(words[order:])
        return Example(parts, {"length": length}, nats=sum(map(self.nats_of, urns.values())))

    def nats_of(self, urn: Sequence[int]) -> float:
        """-log of the probability of these draws in their order: (n + states - 1)! / ((states - 1)! m1! m2! ...)."""
        repeated = math.fsum(math.lgamma(urn.count(symbol)) for symbol in range(self.states))
        return math.lgamma(len(urn)) - math.lgamma(self.states) - repeated

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        chains = [list(map(int, " ".join(example.parts).split())) for example in examples]
        counted = sum(len(chain) - self.order for chain in chains)
        if not counted:
            return {}
        lines = {
            "unigram": [in_context(chain, self.order, self.states, memory=0) for chain in chains],
            "bigram": [in_context(chain, self.order, self.states, memory=1) for chain in chains],
            "matrix": [told(chain, self.order, self.states) for chain in chains],
        }
        means = {name: math.fsum(nats) / counted for name, nats in lines.items()}
        return {"chance": math.log(self.states), **means}


def in_context(chain: Sequence[int], order: int, states: int, memory: int) -> float:
    """-log of the probability of what comes after the first `order`, by add-one counts after the last `memory`."""
    followed: Counter[tuple[int, ...]] = Counter()
    came: Counter[tuple[int, ...]] = Counter()
    nats = 0.0
    for i in range(memory, len(chain)):
        behind, whole = tuple(chain[i - memory : i]), tuple(chain[i - memory : i + 1])
        if i >= order:
            nats -= math.log((1 + followed[whole]) / (states + came[behind]))
        followed[whole] += 1
        came[behind] += 1
    return nats


def told(chain: Sequence[int], order: int, states: int) -> float:
    """What follows the first `order` costs on average who is told the matrix: over all matrices, given the whole chain.

    A row's posterior is Dirichlet(1 + counts), and the mean of -log p a difference of two digammas of whole numbers,
    which is a sum of 1 / j.
    """
    wholes = Counter(tuple(chain[i : i + order + 1]) for i in range(len(chain) - order))
    came: Counter[tuple[int, ...]] = Counter()
    for whole, count in wholes.items():
        came[whole[:-1]] += count
    return math.fsum(
        count * math.fsum(1 / j for j in range(count + 1, states + came[whole[:-1]]))
        for whole, count in wholes.items()
    )
