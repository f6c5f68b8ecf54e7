"""Arithmetic modulo p, the task on which grokking was seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gptlab.data.examples import Example
from gptlab.data.problems import Problems
from gptlab.errors import UserError, require, unknown_name

MOST = 1000  # p * p problems are listed

# The sign that an operation is written with, and its result modulo p.
OPERATIONS: dict[str, tuple[str, Callable[[int, int, int], int]]] = {
    "add": ("+", lambda x, y, p: (x + y) % p),
    "subtract": ("-", lambda x, y, p: (x - y) % p),
    "multiply": ("*", lambda x, y, p: x * y % p),
    "divide": ("/", lambda x, y, p: x * pow(y, -1, p) % p),
}


@dataclass(frozen=True)
class Modular(Problems):
    """`12 + 34 =` and its answer `46`, modulo p: all problems of one operation (Power et al. 2022).

    p: the modulus; the words are the numbers below it. operation: add, subtract, multiply, or divide, for which p
    must be prime, and nothing is divided by 0. data.valFraction is the share of problems that is held out.

    The answer counts, one word. The problem determines it, so the floor is 0; `chance`, ln p, is the loss of a guess
    among the numbers.

    Source: "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets".
    """

    p: int = 97
    operation: str = "add"

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.p", self.p, at_least=2, at_most=MOST, example=97)
        if self.operation not in OPERATIONS:
            raise unknown_name("operation", self.operation, OPERATIONS, "Type data.operation=add.")
        if self.operation == "divide" and not is_prime(self.p):
            prime = next(n for n in range(self.p, 2 * self.p) if is_prime(n))
            raise UserError(
                f"data.p must be prime, or not every number can be divided by: got {self.p}. Try data.p={prime}."
            )

    def examples(self) -> Sequence[Example]:
        sign, result = OPERATIONS[self.operation]
        p, divides = self.p, self.operation == "divide"
        return [
            Example((f"{x} {sign} {y} =", str(result(x, y, p))), nats=0.0)
            for x in range(p)
            for y in range(divides, p)
        ]

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": math.log(self.p)}


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))
