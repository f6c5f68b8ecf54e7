"""What a loss can be held against: the losses of predictors that a data set knows, and the entropies of a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gptlab.data.facts import BASELINE

# Facts of a text, and how they are called.
OF_TEXT = {"entropyPerWord": "entropy of the data", "unigramEntropy": "unigram entropy"}


@dataclass(frozen=True)
class Reference:
    """A loss that has a name, in nats a token that counts."""

    name: str
    loss: float


def baselines(facts: Mapping[str, float]) -> list[Reference]:
    """The losses of the predictors that a data set knows, the lowest first."""
    named = [
        Reference(fact.removeprefix(BASELINE), loss)
        for fact, loss in facts.items()
        if fact.startswith(BASELINE)
    ]
    return sorted((one for one in named if math.isfinite(one.loss)), key=lambda one: one.loss)


def references(facts: Mapping[str, float]) -> list[Reference]:
    """The baselines; of data that has none, the entropies of its text. The lowest first."""
    of_text = [Reference(called, facts[name]) for name, called in OF_TEXT.items() if name in facts]
    return baselines(facts) or sorted(of_text, key=lambda one: one.loss)
