"""Samplers: how the next token is drawn from what the model says of each. Legend: V vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gptlab.engines.engine import Choose, runtime_fields, takes_seen, with_fields
from gptlab.errors import require
from gptlab.plugins.hookspecs import hookimpl
from gptlab.training.choosing import choose_from_all

SEEN, FIELD, PENALTY = "seen", "sampler.", "repetitionPenalty"


@dataclass(frozen=True)
class Sampler:
    """The base of samplers: `choose(xp, logits, uniform)`, or `choose(xp, logits, uniform, seen)`.

    logits: (V,), divided by the temperature, the largest 0; at the temperature 0 the likeliest token is taken and the
    sampler not asked. uniform: a number in [0, 1). seen: (V,) whole numbers, how often each token stands in the sample
    so far, the prompt included; BOS is not counted. Who does not ask for it has it counted for nothing.
    Returns the id of a token. xp: numpy, or jax.numpy in a compiled program, which takes float fields as inputs:
    compute with them, and never ask `if self.share > 0`.
    """

    def choose(self, xp: Any, logits: Any, uniform: Any) -> Any:
        """The token that is drawn."""
        raise NotImplementedError("a sampler says which token a number picks")

    @staticmethod
    def draw(xp: Any, logits: Any, uniform: Any) -> Any:
        """The token that the number picks from all by their probabilities; one whose logit is -inf never."""
        return choose_from_all(xp, logits, uniform, 1.0)


@dataclass(frozen=True)
class Standard(Sampler):
    """By their probabilities, of the tokens that topK and topP leave (Holtzman et al. 2020)."""

    def choose(self, xp: Any, logits: Any, uniform: Any) -> Any:
        return self.draw(xp, logits, uniform)


@dataclass(frozen=True)
class MinP(Sampler):
    """Of tokens at least `share` times as likely as the likeliest (Nguyen et al. 2024, "Turning up the heat").

    share: 0 keeps all, 1 the likeliest alone.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        require("sampler.share", self.share, at_least=0, at_most=1, example=0.1)

    def choose(self, xp: Any, logits: Any, uniform: Any) -> Any:
        return self.draw(xp, xp.where(xp.exp(logits) >= self.share, logits, -xp.inf), uniform)


@dataclass(frozen=True)
class Asked:
    """A sampler as an engine asks it; equal for all values of its float fields, which come as settings."""

    template: Sampler

    def __call__(self, xp: Any, logits: Any, uniform: Any, temperature: Any, **fields: Any) -> Any:
        return self.drawn(xp, logits, (uniform,), temperature, fields)

    def drawn(self, xp: Any, logits: Any, known: tuple[Any, ...], temperature: Any, fields: Any) -> Any:
        sampler = with_fields(self.template, {key.removeprefix(FIELD): v for key, v in fields.items()})
        # Below 1e-30 the quotient could overflow, while the draw has long been that of 0.
        scaled = (logits - xp.max(logits)) / xp.maximum(temperature, 1e-30)
        return xp.where(temperature <= 0, xp.argmax(logits), sampler.choose(xp, scaled, *known))


@dataclass(frozen=True)
class AskedWithSeen(Asked):
    """The same of one that looks at what there is already."""

    def __call__(  # type: ignore[override]
        self, xp: Any, logits: Any, uniform: Any, seen: Any, temperature: Any, **fields: Any
    ) -> Any:
        return self.drawn(xp, logits, (uniform, seen), temperature, fields)


@dataclass(frozen=True)
class Penalized:
    """A choice after the repetition penalty."""

    choose: Choose

    def __call__(
        self, xp: Any, logits: Any, uniform: Any, seen: Any, repetitionPenalty: Any, **more: Any
    ) -> Any:
        # Keskar et al. divide all; a logit below 0 would be the likelier for it.
        less = xp.where(logits > 0, logits / repetitionPenalty, logits * repetitionPenalty)
        known = (uniform, seen) if takes_seen(self.choose) else (uniform,)
        return self.choose(xp, xp.where(seen > 0, less, logits), *known, **more)


def chooser_of(sampler: Sampler, temperature: float) -> tuple[Choose, dict[str, float]]:
    """What an engine is to choose by, and the settings of it."""
    fields = runtime_fields(sampler)
    template = with_fields(sampler, dict.fromkeys(fields, 0.0))
    asked = AskedWithSeen(template) if takes_seen(sampler.choose) else Asked(template)
    return asked, {"temperature": temperature} | {FIELD + name: value for name, value in fields.items()}


def penalized(choose: Choose, settings: dict[str, float], penalty: float) -> tuple[Choose, dict[str, float]]:
    """The same after the penalty."""
    return Penalized(choose), {**settings, PENALTY: penalty}


@hookimpl
def gptlab_register_samplers(register: Callable[..., None]) -> None:
    register("standard", Standard)
    register("minp", MinP)
