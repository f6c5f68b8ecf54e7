"""A model as the block of one layer sees it: its components are told the context without the block's help."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.model.component import Part

if TYPE_CHECKING:
    from gptlab.model.gpt import GPT

CONTEXT = "context"  # what a component calls the argument by which it asks for it


class InContext:
    """A GPT of which `norm(weights, x)`, `mlp(weights, x, activation)`, `activation(x)`, `attend` and `feed` are
    called alike whether the component takes the context or not; otherwise the GPT.
    """

    def __init__(self, model: GPT, context: Context):
        self._model = model
        self._context = context

    @property
    def norm(self) -> Any:
        return told(self._model.norm, self._context)

    @property
    def mlp(self) -> Any:
        return told(self._model.mlp, self._context)

    @property
    def activation(self) -> Any:
        return told(self._model.activation, self._context)

    def attend(self, weights: Part, x: Tensor, context: Context) -> Tensor:
        """A block's attention on x (T, E), dropped out where the model is."""
        model = self._model
        result: Tensor = model.attention(weights.within("attention"), x, model.position, context, model.sizes)
        return context.drop(result)

    def feed(self, weights: Part, x: Tensor) -> Tensor:
        """A block's mlp on x (T, E), dropped out where the model is."""
        result: Tensor = self.mlp(weights.within("mlp"), x, self.activation)
        return self._context.drop(result)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class Told:
    """A component that takes the context, with the context; otherwise as it was."""

    def __init__(self, component: Any, context: Context):
        self._component = component
        self._context = context

    def __call__(self, *arguments: Any) -> Any:
        return self._component(*arguments, context=self._context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)


def told(component: Any, context: Context) -> Any:
    """The component as it is called without a context."""
    return Told(component, context) if takes_context(component) else component


def takes_context(component: Any) -> bool:
    """Whether a call of it has an argument `context`; of what is in a wrapper with `__wrapped__`, what is in there."""
    inner = inspect.unwrap(component)
    kind: Any = type(inner)
    return has_context(inner) if inspect.isroutine(inner) else calls_take_context(kind)


@cache
def calls_take_context(component: Any) -> bool:
    """Of a class."""
    return has_context(component.__call__)


def has_context(function: Any) -> bool:
    return CONTEXT in inspect.signature(function).parameters
