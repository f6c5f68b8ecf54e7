"""A model as the block of one layer sees it: its components get what they ask for without the block's help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.model.component import Part
from gptlab.model.contracts import MLP, Activation, Norm

if TYPE_CHECKING:
    from gptlab.model.gpt import GPT

CONTEXT, WEIGHTS = "context", "weights"  # what a component calls the arguments by which it asks for them


class InContext:
    """A GPT of which `norm(weights, x)`, `mlp(weights, x, activation)`, `activation(x)`, `attend` and `feed` are
    called alike whatever else the component asks for; otherwise the GPT. weights: of the whole model.
    """

    def __init__(self, model: GPT, context: Context, weights: Mapping[str, Tensor]):
        self._model = model
        self._context = context
        self._weights = weights

    def of(self, model: GPT) -> InContext:
        """Another model at the same place."""
        return InContext(model, self._context, self._weights)

    @property
    def norm(self) -> Norm:
        norm: Norm = told(self._model.norm, context=self._context)
        return norm

    @property
    def mlp(self) -> MLP:
        mlp: MLP = told(self._model.mlp, context=self._context)
        return mlp

    @property
    def activation(self) -> Activation:
        own = Part(self._weights, f"layers.{self._context.layer}.activation")
        activation: Activation = told(self._model.activation, context=self._context, weights=own)
        return activation

    @property
    def position(self) -> Placed:
        return Placed(self._model.position, self._context, Part(self._weights))

    def attend(self, weights: Part, x: Tensor, context: Context) -> Tensor:
        """A block's attention on x (T, E), dropped out where the model is."""
        model = self._model
        position: Any = self.position
        return context.drop(model.attention(weights.within("attention"), x, position, context, model.sizes))

    def feed(self, weights: Part, x: Tensor) -> Tensor:
        """A block's mlp on x (T, E), dropped out where the model is."""
        return self._context.drop(self.mlp(weights.within("mlp"), x, self.activation))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class Told:
    """A component with what it asks for; otherwise as it was."""

    def __init__(self, component: Any, given: Mapping[str, Any]):
        self._component = component
        self._given = given

    def __call__(self, *arguments: Any) -> Any:
        return self._component(*arguments, **self._given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)


class Placed:
    """A position component of which `embed(x, positions)`, `rotate` and `bias` are called alike whatever else each
    of them asks for; otherwise the component.
    """

    def __init__(self, component: Any, context: Context, weights: Part):
        self._component = component
        self._given = {CONTEXT: context, WEIGHTS: weights}

    def embed(self, x: Tensor, positions: Any) -> Tensor:
        weights = self._given[WEIGHTS]
        found: Tensor = self._component.embed(weights, x, positions, **self._asked("embed", CONTEXT))
        return found

    def rotate(self, heads: Tensor, positions: Any, config: Any) -> Tensor:
        found: Tensor = self._component.rotate(
            heads, positions, config, **self._asked("rotate", *self._given)
        )
        return found

    def bias(self, scores: Tensor, positions: Any, key_positions: Any) -> Tensor:
        found: Tensor = self._component.bias(
            scores, positions, key_positions, **self._asked("bias", *self._given)
        )
        return found

    def _asked(self, method: str, *names: str) -> dict[str, Any]:
        kind: Any = type(inspect.unwrap(self._component))
        asked = named_in_class(kind, method)
        return {name: self._given[name] for name in names if name in asked}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)


def told(component: Any, **offered: Any) -> Any:
    """The component as it is called without what it asks for."""
    asked = asks_for(component)
    given = {name: value for name, value in offered.items() if name in asked}
    return Told(component, given) if given else component


def takes_context(component: Any) -> bool:
    """Whether a call of it has an argument `context`; of what is in a wrapper with `__wrapped__`, what is in there."""
    return CONTEXT in asks_for(component)


def asks_for(component: Any) -> frozenset[str]:
    """The names of a call's arguments."""
    inner = inspect.unwrap(component)
    kind: Any = type(inner)
    return named(inner) if inspect.isroutine(inner) else named_in_class(kind, "__call__")


@cache
def named_in_class(component: Any, method: str) -> frozenset[str]:
    return named(getattr(component, method))


def named(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)
