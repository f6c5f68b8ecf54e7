"""Nested brackets of several kinds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import ClassVar

from gptlab.data.examples import Example
from gptlab.data.tasks.lengths import OfLength
from gptlab.errors import require

BRACKETS = "()", "[]", "{}", "<>"


@dataclass(frozen=True)
class Dyck(OfLength):
    """`( [ ] ( ) )`: balanced brackets of several kinds, within a depth, Dyck-(k, m) (Hewitt et al. 2020).

    length: how many brackets, an even number. kinds: how many kinds there are, `(`, `[`, `{`, `<` and numbered ones
    beyond. depth: how many may be open at once. Each way to open and close so many within that depth is as likely,
    and so is each kind.

    The closing brackets count, and nothing else. That the next one closes need not be told, since where one opens
    nothing counts; which kind closes is that of the last one still open. So the floor is 0; `chance`, ln kinds, is
    the loss of who knows that one closes, and no more. Labels: length; depth, the most that were open.

    Source: "RNNs can generate bounded hierarchical languages with optimal memory".
    """

    length: int = 16
    kinds: int = 4
    depth: int = 4

    least: ClassVar[int] = 2
    step: ClassVar[int] = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.kinds", self.kinds, at_least=2, example=4)
        require("data.depth", self.depth, at_least=1, example=4)

    def alphabet(self) -> Iterable[str]:
        return [bracket for kind in range(self.kinds) for bracket in brackets(kind)]

    def draw_of(self, random: Random, length: int) -> Example:
        opens = chances_to_open(length, self.depth)
        parts: list[list[str]] = [[]]
        closing: list[str] = []  # of the brackets that are open
        deepest = 0
        for left in range(length, 0, -1):
            if random.random() < opens[left][len(closing)]:
                if len(parts) % 2 == 0:
                    parts.append([])
                opening, its_closing = brackets(int(random.random() * self.kinds))
                parts[-1].append(opening)
                closing.append(its_closing)
                deepest = max(deepest, len(closing))
            else:
                if len(parts) % 2 == 1:
                    parts.append([])
                parts[-1].append(closing.pop())
        return Example([" ".join(part) for part in parts], {"length": length, "depth": deepest}, nats=0.0)

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": math.log(self.kinds)}


@lru_cache
def brackets(kind: int) -> tuple[str, str]:
    """The opening and the closing bracket of a kind."""
    if kind < len(BRACKETS):
        return BRACKETS[kind][0], BRACKETS[kind][1]
    return f"({kind + 1}", f"){kind + 1}"


@lru_cache(maxsize=64)
def chances_to_open(length: int, depth: int) -> list[list[float]]:
    """By how many brackets are left, and how many are open: the probability that the next one opens.

    It is the share of the ways to go on, to the end and within the depth, that begin so.
    """
    ways = [[1] + [0] * (depth + 1)]
    opens: list[list[float]] = [[0.0] * (depth + 1)]
    for _ in range(length):
        before = ways[-1]
        up = [*before[1 : depth + 1], 0]
        down = [0, *before[:depth]]
        total = [a + b for a, b in zip(up, down, strict=True)]
        opens.append([a / n if n else 0.0 for a, n in zip(up, total, strict=True)])
        ways.append([*total, 0])
    return opens
