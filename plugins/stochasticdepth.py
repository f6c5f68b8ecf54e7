"""Must every layer be there at every step, or does a model learn better if whole layers are left out at random?

In training a document goes past what a block would add to it with a chance that grows with the depth; what is left is
scaled up, so that evaluation, which leaves out nothing, sees numbers of the same size.

Source: Huang, Sun, Liu, Sedra, Weinberger, "Deep Networks with Stochastic Depth", 2016.
Use:    python -m gptlab +experiment=stochasticdepth   (or model/block=stochasticdepth model.block.rate=0.2)
"""

from dataclasses import dataclass
from typing import Any

import gptlab
from gptlab.model.block import PreNorm


@dataclass(frozen=True)
class StochasticDepth(PreNorm):
    """A pre-norm block that a document skips at a rate that grows to `rate` in the last layer (Huang et al. 2016)."""

    rate: float = 0.1

    def __post_init__(self) -> None:
        gptlab.require("model.block.rate", self.rate, at_least=0, below=1, example=0.1)

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, model: Any, context: gptlab.Context
    ) -> gptlab.Tensor:
        added = self.kept(
            model.attend(weights, model.norm(weights.within("attentionNorm"), x), context), model, context
        )
        x = x + added
        return x + self.kept(model.feed(weights, model.norm(weights.within("mlpNorm"), x)), model, context)

    def kept(self, added: gptlab.Tensor, model: Any, context: gptlab.Context) -> gptlab.Tensor:
        """What a branch adds (T, E), or 0 for all positions of a document that skips it."""
        rate = self.rate * (context.layer + 1) / model.sizes.nLayer
        if not context.training or not rate:
            return added
        drawn_T1 = context.uniform((added.shape[0], 1), each="document")
        return (added * (1 / (1 - rate))).where(drawn_T1 >= rate, 0.0)


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("block", "stochasticdepth", StochasticDepth)
