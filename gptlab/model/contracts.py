"""What each kind of component must be able to do. A plugin's class need not derive from these; it must fit them.

What a component may say of itself besides: `exact_gradient = False`, if a step of it has another derivative on purpose
(a straight-through op), so that `check` does not measure it; `engines = ("xla",)`, if it is for these engines alone.

A call of a norm, an mlp or an activation may have an argument `context` besides, and that of an activation `weights`:
it gets what it asks for by these names. Legend: see component.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

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


class Objective(Protocol):
    """What a model is trained for. It may have `weights(config)`, named `objective.NAME` in training, and
    `for_tokens(tokenizer)`, the objective to train with once the vocabulary is known.
    """

    def __call__(
        self,
        weights: Part,
        hidden: Tensor,
        logits: Tensor,
        tokens: Any,
        targets: Any,
        context: Context,
        /,
    ) -> tuple[Tensor, Any]:
        """Losses (T,) of hidden (T, E), logits (T, V), tokens and targets (T,); and counts, (T,) numbers of at least 0
        or None where each is 1. A document's loss is Σ counts · losses / Σ counts.
        """
        ...


class Metric(Protocol):
    """What is measured on held-out documents. With `of = "document"` a document is right where all that counts is; with
    `of = "ratio"` the metric is the sum of the first number over that of the second, neither weighed by the other.

    With `slicedBy`, a name of slicing.py, it is told slice by slice only. It may have `for_tokens(tokenizer)`, the
    metric to ask for once the vocabulary is known.
    """

    def __call__(self, xp: Any, logits: Any, tokens: Any, targets: Any, counts: Any, /) -> tuple[Any, Any]:
        """How right each position is, (T,), and how much it counts, (T,): arrays, as are logits (T, V) and the rest."""
        ...
