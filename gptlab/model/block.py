"""A block: how attention, mlp and norms are joined into one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.model.component import Part, Weight, declared

if TYPE_CHECKING:
    from gptlab.model.gpt import GPT
    from gptlab.model.in_context import InContext


@dataclass(frozen=True)
class PreNorm:
    """x + attention(norm(x)), then x + mlp(norm(x)) (Radford et al. 2019, "GPT-2")."""

    def weights(self, model: GPT) -> dict[str, Weight]:
        sizes = model.sizes
        return {
            **declared("attentionNorm", model.norm.weights(sizes)),
            **declared("attention", model.attention.weights(sizes)),
            **declared("mlpNorm", model.norm.weights(sizes)),
            **declared("mlp", model.mlp.weights(sizes)),
        }

    def __call__(self, weights: Part, x: Tensor, model: InContext, context: Context) -> Tensor:
        x = x + model.attend(weights, model.norm(weights.within("attentionNorm"), x), context)
        return x + model.feed(weights, model.norm(weights.within("mlpNorm"), x))
