"""Addition of decimal numbers, written in characters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from gptlab.data.examples import Example
from gptlab.data.problems import WHOLE, EndlessProblems
from gptlab.data.tasks.lengths import drawn
from gptlab.errors import require


@dataclass(frozen=True)
class Addition(EndlessProblems):
    """`12+34=` and its answer `46`, in characters: tokenizer=char (Lee et al. 2023).

    digits: of the longest operand to train on. How many digits an operand has is drawn first, each count from 1 on as
    likely, then one of the numbers with so many: short operands come up, too. reversed: whether the answer is written
    from its last digit on, the order in which carries become known. aligned: whether operands are padded with zeros
    to `digits` and the answer to one more, `012+034=0046`, so that the place of a digit says what it is worth.
    longer: null, or the most digits in a held-out set of its own, `longer`, in which one operand at least has more
    than `digits`.

    The answer counts, and its end unless it is aligned. The problem determines both, so the floor is 0; `chance` is
    the loss of a guess among what an answer is made of. Labels: digits, of the longest operand; carries, the most
    neighbouring columns that carry.

    Source: "Teaching Arithmetic to Small Transformers".
    """

    digits: int = 3
    reversed: bool = False
    aligned: bool = False
    longer: int | None = None

    metrics: ClassVar[Sequence[Any]] = WHOLE
    characters: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.digits", self.digits, at_least=1, example=3)
        if self.longer is not None:
            require(
                "data.longer", self.longer, above=self.digits, example=f"{self.digits + 2}, or null for none"
            )

    def alphabet(self) -> Iterable[str]:
        return ["0123456789+="]

    def draw(self, random: Random) -> Example:
        return self.problem(number(random, self.digits), number(random, self.digits), self.digits)

    def held_out_sets(self) -> Mapping[str, Sequence[Example]]:
        longest, shorter = self.longer, 10**self.digits
        if longest is None:
            return {}

        def longer_one(random: Random) -> Example:
            while True:
                x, y = number(random, longest), number(random, longest)
                if max(x, y) >= shorter:
                    return self.problem(x, y, longest)

        return drawn(self, "longer", longer_one)

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        return {"chance": math.log(10 if self.aligned else 11)}

    def problem(self, x: int, y: int, width: int) -> Example:
        """x + y; where columns are aligned, of operands of this many digits."""
        one, other, answer = str(x), str(y), str(x + y)
        labels = {"digits": max(len(one), len(other)), "carries": longest_carry(x, y)}
        if self.aligned:
            one, other, answer = one.zfill(width), other.zfill(width), answer.zfill(width + 1)
        if self.reversed:
            answer = answer[::-1]
        return Example((f"{one}+{other}=", answer), labels, nats=0.0, ends=not self.aligned)


def number(random: Random, digits: int) -> int:
    """One of 1 to `digits` digits, each count as likely."""
    count = random.randint(1, digits)
    return random.randrange(10 ** (count - 1) if count > 1 else 0, 10**count)


def longest_carry(x: int, y: int) -> int:
    """The most neighbouring columns of which each carries into the next: 0 for 12 + 34, 3 for 999 + 1."""
    longest = chain = carry = 0
    while x or y:
        x, a = divmod(x, 10)
        y, b = divmod(y, 10)
        carry = int(a + b + carry > 9)
        chain = chain + 1 if carry else 0
        longest = max(longest, chain)
    return longest
