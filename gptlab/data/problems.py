"""Data with right answers: datasets that give examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from gptlab.data.datasets import Dataset
from gptlab.data.examples import Example
from gptlab.errors import UserError, require

WHOLE = (
    {"name": "exactMatch", "train": True},
    "accuracy",
)  # of answers of several tokens, all of which must be right


@dataclass(frozen=True)
class Problems(Dataset):
    """The base of datasets of which all problems can be listed; a share of them is held out.

    countAll: prompts count as well as answers.
    """

    countAll: bool = False

    # What a run measures where answers alone count and its config names nothing; the first is shown beside the loss.
    metrics: ClassVar[Sequence[Any]] = ({"name": "accuracy", "train": True},)
    # Whether it is written in characters: words of it would be whole problems.
    characters: ClassVar[bool] = False

    def examples(self) -> Sequence[Example]:
        """All there are, in an order that is the same each time."""
        raise NotImplementedError("a dataset of problems says what its examples are")

    def held_out_sets(self) -> Mapping[str, Sequence[Example]]:
        """More held-out examples by name (`longer`), of other kinds than those to train on: each is evaluated, too."""
        return {}

    def baselines(self, examples: Sequence[Example]) -> dict[str, float]:
        """By name the loss on these held-out examples, in nats a counted token, of predictors that know less, or all.

        `floor` is the lowest that there is; it is known without this where each example has its `nats`.
        """
        return {}


@dataclass(frozen=True)
class EndlessProblems(Problems):
    """The base of datasets that draw problems.

    numExamples: how many distinct ones to train on; null for new ones as they are needed. numHeldOut: how many are
    held out: none of them is ever trained on. Half of all problems, by data.splitSeed, may be held out, so that of
    short ones, which are few, some are left to train on.
    """

    numExamples: int | None = None
    numHeldOut: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.numExamples is not None:
            require("data.numExamples", self.numExamples, at_least=1, example="3000, or null for new ones")
        require("data.numHeldOut", self.numHeldOut, at_least=0, example=500)
        if self.valFraction is not None:
            raise UserError(
                "data.valFraction is a share of a fixed number of problems, and these are drawn without end: got "
                f"{self.valFraction}. Type data.numHeldOut=500."
            )

    def draw(self, random: Random) -> Example:
        """One problem, by these random numbers alone."""
        raise NotImplementedError("a dataset of endless problems says how one is drawn")

    def alphabet(self) -> Iterable[str]:
        """Texts that hold each piece that an example may have: the vocabulary is made of them."""
        raise NotImplementedError("a dataset of endless problems says which pieces it is written in")
