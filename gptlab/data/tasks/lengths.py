"""What tasks share whose problems have a length: which lengths come up, and held-out problems that are longer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from gptlab.data.examples import Example
from gptlab.data.problems import EndlessProblems
from gptlab.errors import UserError, require

PATIENCE = 1000  # draws without a new problem, after which there are taken to be no more


@dataclass(frozen=True)
class OfLength(EndlessProblems):
    """The base of tasks whose problems have a length.

    length: of the longest problems to train on. shortest: of the shortest ones, each length between being as likely;
    null for problems of one length. longer: null, or the greatest length in a held-out set of its own, `longer`,
    whose lengths begin where those to train on end.
    """

    length: int = 8
    shortest: int | None = None
    longer: int | None = None

    least: ClassVar[int] = 1  # the shortest that there is
    step: ClassVar[int] = 1  # from one length to the next

    def __post_init__(self) -> None:
        super().__post_init__()
        require("data.length", self.length, at_least=self.least, example=type(self).length)
        if self.shortest is not None:
            example = f"{self.least}, or null"
            require("data.shortest", self.shortest, at_least=self.least, at_most=self.length, example=example)
        if self.longer is not None:
            example = f"{2 * self.length}, or null for none"
            require("data.longer", self.longer, above=self.length, example=example)
        for key in ("length", "shortest", "longer"):
            value = getattr(self, key)
            if value is not None and value % self.step:
                raise UserError(
                    f"data.{key} must be a multiple of {self.step}: got {value}. "
                    f"Try data.{key}={value + value % self.step}."
                )

    def draw_of(self, random: Random, length: int) -> Example:
        """One problem of this length, by these random numbers alone."""
        raise NotImplementedError("a task of many lengths says how a problem of a given length is drawn")

    def draw(self, random: Random) -> Example:
        if self.shortest is None:
            return self.draw_of(random, self.length)
        return self.draw_of(random, random.randrange(self.shortest, self.length + 1, self.step))

    def held_out_sets(self) -> Mapping[str, Sequence[Example]]:
        if self.longer is None:
            return {}
        lengths = range(self.length + self.step, self.longer + 1, self.step)
        return drawn(self, "longer", lambda random: self.draw_of(random, random.choice(lengths)))

    @property
    def variable(self) -> bool:
        """Whether problems to train on have more than one length, so that a model must learn when an answer ends."""
        return self.shortest is not None


def drawn(
    dataset: EndlessProblems, name: str, draw: Callable[[Random], Example]
) -> dict[str, Sequence[Example]]:
    """A held-out set by its name: `numHeldOut` different problems, by data.splitSeed; fewer if there are no more."""
    random = Random(f"{name}/{dataset.splitSeed or 0}")
    found: dict[tuple[str, ...], Example] = {}
    in_vain = 0
    while len(found) < dataset.numHeldOut and in_vain < PATIENCE:
        example = draw(random)
        in_vain = in_vain + 1 if tuple(example.parts) in found else 0
        found.setdefault(tuple(example.parts), example)
    return {name: list(found.values())} if found else {}
