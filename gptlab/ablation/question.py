"""What an ablation asks: the baseline, the arms, and how they are to be compared, read from what is typed."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gptlab.ablation.arms import Arm, arms_of, check_override, elements, is_bracketed, key_of, without
from gptlab.config.duration import seconds_in
from gptlab.errors import UserError, require
from gptlab.plugins.registry import Registry

if TYPE_CHECKING:
    from gptlab.config.schema import AblateConfig

# The keys of the verb that are no keys of a run.
OWN = ("arms", "minus", "plus", "stack", "seeds", "tune", "sizes", "match", "epsilon", "budget", "again")
# What arms may share with the baseline, and the key that is set for it.
MATCHES = {"steps": "", "params": "model.nEmbd", "flops": "train.numSteps", "seconds": "train.numSteps"}
MOST_SEEDS = 1000
MOST_SETTINGS = 200
BASELINE = "baseline"  # what the report calls it
GRID = re.compile(r"(log|linear)\(([^,()]+),([^,()]+),([^,()]+)\)")


@dataclass(frozen=True)
class Question:
    """base: the overrides of the baseline. seeds: the most there may be, in order. settings: what is tuned, each a
    choice of values for the tuned keys; one without any if nothing is. sizes: likewise, of what makes a size.
    budget: seconds; None for as long as it takes.
    """

    base: tuple[str, ...]
    arms: tuple[Arm, ...]
    stack: bool
    seeds: tuple[int, ...]
    settings: tuple[tuple[str, ...], ...]
    sizes: tuple[tuple[str, ...], ...]
    match: str
    epsilon: float
    budget: float | None
    again: bool

    @property
    def tunes(self) -> bool:
        return self.settings != ((),)


def question_of(settings: AblateConfig, overrides: Sequence[str], registry: Registry) -> Question:
    """Raises UserError for what cannot be meant. overrides: as typed, those of the verb among them."""
    base = tuple(text for text in overrides if not is_own(text))
    arms = [
        *arms_of(settings.arms, "arms"),
        *without(settings.minus, registry),
        *arms_of(settings.plus, "plus"),
    ]
    if not arms:
        raise UserError(
            "ablate compares arms with the baseline: got none. Type arms='[model/norm=layernorm, "
            "model/activation=gelu]', minus='[norm]' or plus='[+experiment=muon]'."
        )
    names = [arm.name for arm in arms]
    if BASELINE in names:
        raise UserError(f"no arm may be called {BASELINE}: rename the experiment.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"each arm must be named once: got '{twice}' twice.")
    if not 2 <= settings.seeds <= MOST_SEEDS:
        raise UserError(
            f"seeds must be 2 to {MOST_SEEDS:,}, and at least 6 to tell a difference from luck: got "
            f"{settings.seeds}. Try seeds=12."
        )
    if settings.match not in MATCHES:
        raise UserError(f"match must be one of {', '.join(MATCHES)}: got {settings.match}.")
    for arm in arms:
        if MATCHES[settings.match] in map(key_of, arm.overrides):
            raise UserError(
                f"match={settings.match} sets {MATCHES[settings.match]}, and so does the arm '{arm.name}': leave one "
                "of them out."
            )
    require("epsilon", settings.epsilon, above=0, unit="nats", example=0.01)
    first = settings.seed
    return Question(
        base,
        tuple(arms),
        settings.stack,
        tuple(range(first, first + settings.seeds)),
        settings_in(settings.tune) if settings.tune.strip() else ((),),
        sizes_in(settings.sizes) if settings.sizes.strip() else ((),),
        settings.match,
        settings.epsilon,
        None if settings.budget is None else seconds_in("budget", settings.budget),
        settings.again,
    )


def is_own(override: str) -> bool:
    """Whether it is of the verb, or of how runs are launched, and no part of what is trained."""
    first = key_of(override).partition(".")[0].partition("/")[0]
    return first in (*OWN, "hydra", "sweep", "seed")


def settings_in(text: str) -> tuple[tuple[str, ...], ...]:
    """`a=log(0.001,0.1,3)` -> `a=0.001`, `a=0.01`, `a=0.1`; of several keys, `[a=1,2, b=3,4]`, each with each."""
    words: list[str] = []
    for word in elements(text, "tune") if is_bracketed(text.strip()) else [text.strip()]:
        if "=" in word or not words:
            words.append(word)
        else:
            words[-1] += f",{word}"  # a further value of the key before
    choices = [[f"{word.partition('=')[0]}={value}" for value in values_of(word)] for word in words]
    found = tuple(product(*choices))
    if len(found) > MOST_SETTINGS:
        raise UserError(
            f"tune tries all combinations of values: got {len(found):,} settings, at most {MOST_SETTINGS} are possible."
        )
    return found


def values_of(word: str) -> list[str]:
    key, equals, text = word.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"tune takes a key and its values: got '{word}'. Type tune='train.learningRate=log(0.001,0.03,5)'."
        )
    found = grid(text, word) if "(" in text else elements(f"[{text}]", "tune")
    if len(dict.fromkeys(found)) < 2:
        raise UserError(f"tune chooses between two values or more: got '{word}'.")
    return list(dict.fromkeys(found))


def grid(text: str, word: str) -> list[str]:
    """The values of `log(low,high,n)`, evenly apart by their logarithms, or of `linear(low,high,n)`."""
    match = GRID.fullmatch(text.replace(" ", ""))
    try:
        if match is None:
            raise ValueError
        kind, (low, high), count = match[1], (float(match[2]), float(match[3])), int(match[4])
        if (
            not -math.inf < low < high < math.inf
            or not 2 <= count <= MOST_SETTINGS
            or (kind == "log" and low <= 0)
        ):
            raise ValueError
    except ValueError:
        raise UserError(
            "a grid must read log(low,high,n) or linear(low,high,n), low below high, and above 0 for log: got "
            f"'{word}'."
        ) from None
    values = np.geomspace(low, high, count) if kind == "log" else np.linspace(low, high, count)
    return [f"{value:.4g}" for value in values]


def sizes_in(text: str) -> tuple[tuple[str, ...], ...]:
    """`model.nEmbd=16,32` -> `model.nEmbd=16` and `model.nEmbd=32`; or a list of sizes, each one override or a list."""
    text = text.strip()
    if is_bracketed(text):
        found = [elements(one, "sizes") if is_bracketed(one) else [one] for one in elements(text, "sizes")]
    else:
        key, equals, values = text.partition("=")
        found = [[f"{key}={value}"] for value in elements(f"[{values}]", "sizes")] if equals else [[key]]
    for override in (one for size in found for one in size):
        check_override(override, "sizes")
    sizes = tuple(dict.fromkeys(map(tuple, found)))
    if len(sizes) < 2:
        raise UserError(f"sizes takes two sizes or more: got {text}. Type sizes='model.nEmbd=16,32,64,128'.")
    return sizes
