"""A model whose components say which part of it they are while they compute."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.engines.judged import Judged
from gptlab.model.component import Part, place_of
from gptlab.model.gpt import GPT
from gptlab.model.trains_others import TrainsOthers

Scope = Callable[[str], AbstractContextManager[Any]]  # of a part's name
EMBEDDINGS, OUTPUT, LOSS = "embeddings", "output", "loss"
MAKING = ("adapter", "reparametrization")  # what makes weights of those that are trained
KINDS = ("attention", "mlp", "norm", "position", "block")


class Scoped:
    """A component that computes within the scope of the weights that it is given; otherwise as it was."""

    def __init__(self, component: Any, scope: Scope):
        self._component = self.__wrapped__ = component
        self._scope = scope

    def __call__(self, *arguments: Any, **context: Any) -> Any:
        place = next((place_of(a) for a in arguments if isinstance(a, Part)), "")
        with self._scope(place) if place else nullcontext():
            return self._component(*arguments, **context)

    def embed(self, *arguments: Any, **asked: Any) -> Any:
        """Of a position component."""
        with self._scope(EMBEDDINGS):
            return self._component.embed(*arguments, **asked)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)


@dataclasses.dataclass(frozen=True)
class ScopedGPT(GPT):
    """What a GPT computes outside of its components is its output's, or the loss's."""

    scope: Scope = nullcontext

    def outputs(self, weights: Mapping[str, Tensor], tokens: Any, context: Context) -> tuple[Tensor, Tensor]:
        with self.scope(OUTPUT):
            return super().outputs(weights, tokens, context)

    def judged(self, weights: Mapping[str, Tensor], tokens: Any, targets: Any, context: Context) -> Judged:
        with self.scope(LOSS):
            return super().judged(weights, tokens, targets, context)


def scoped(definition: GPT | TrainsOthers, scope: Scope) -> ScopedGPT | TrainsOthers:
    """The same model; each part of it computes within a scope of its own.

    The parts are `embeddings`, `embeddingNorm`, `layers.0` (what a block does itself),
    `layers.0.attention` and so on as weights are named, `output`, `loss`; in no scope is what makes
    weights of those that are trained.
    """
    if isinstance(definition, TrainsOthers):
        base = scoped(definition.base, scope)
        return dataclasses.replace(definition, base=base)  # type: ignore[arg-type]
    parts = definition.with_parts(lambda kind, part: Scoped(part, scope) if kind in KINDS else part)
    fields = {f.name: getattr(parts, f.name) for f in dataclasses.fields(definition)}
    return ScopedGPT(**fields, scope=scope)


def part_of_weight(name: str) -> str:
    """Which part, as `scoped` names them, a weight belongs to: `layers.0.mlp` for `layers.0.mlp.hidden`."""
    words = name.split(".")
    if words[0] == "layers":
        return ".".join(words[:3] if len(words) > 3 else words[:2])
    if len(words) > 1:
        return words[0]
    return OUTPUT if name == OUTPUT else EMBEDDINGS
