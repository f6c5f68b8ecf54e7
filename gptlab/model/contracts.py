"""What each kind of component must be able to do. A plugin's class need not derive from these; it must fit them.

What a component may say of itself besides: `exact_gradient = False`, if a step of it has another derivative on purpose
(a straight-through op), so that `check` does not measure it; `engines = ("xla",)`, if it is for these engines alone.

A call of a norm, an mlp or an activation may have an argument `context` besides, and that of an activation `weights`:
it gets what it asks for by these names. Legend: see component.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.model.component import Declared, Part, Sizes, Weight

if TYPE_CHECKING:
    from gptlab.model.gpt import GPT
    from gptlab.model.in_context import InContext
    from gptlab.model.position import Position


class Attention(Protocol):
    """How positions read from one another."""

    def weights(self, config: Sizes, /) -> Declared: ...

    def __call__(
        self, weights: Part, x: Tensor, position: Position, context: Context, config: Sizes, /
    ) -> Tensor:
        """(T, E) to (T, E), what is added to the hidden state."""
        ...


class MLP(Protocol):
    """What is computed at each position by itself."""

    def weights(self, config: Sizes, /) -> Declared: ...

    def __call__(self, weights: Part, x: Tensor, activation: Activation, /) -> Tensor:
        """(T, E) to (T, E), what is added to the hidden state."""
        ...


class Norm(Protocol):
    """What brings the numbers of a position to a size that those after it can rely on."""

    def weights(self, config: Sizes, /) -> Declared: ...

    def __call__(self, weights: Part, x: Tensor, /) -> Tensor:
        """(T, E) to (T, E)."""
        ...


class Activation(Protocol):
    """What stands between the products of an mlp. It may have `weights(config)`, of its own in each layer."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Of any shape, elementwise."""
        ...


class Block(Protocol):
    """How attention, mlp and norms are joined into a layer."""

    def weights(self, model: GPT, /) -> Mapping[str, Weight]: ...

    def __call__(self, weights: Part, x: Tensor, model: InContext, context: Context, /) -> Tensor:
        """(T, E) to (T, E). `model.norm`, `model.attend` and `model.feed` give its parts what they ask for."""
        ...
