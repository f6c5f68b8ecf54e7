"""Does a model learn the next token better if it must see further ahead?

Besides the next token the hidden state is to give those after it, by a head of its own for each. Only training has
these heads: samples and losses are of the next token alone.

Source: Gloeckle et al., "Better & Faster Large Language Models via Multi-token Prediction", 2024.
Use:    python -m gptlab +experiment=multitoken      (or objective=multitoken objective.ahead=2)
"""

from dataclasses import dataclass
from typing import Any

import gptlab


@dataclass(frozen=True)
class MultiToken:
    """Σ over k < ahead of -log p_k(token t+1+k from the state at t), p_0 the model's own (Gloeckle et al. 2024).

    ahead: how many tokens, the next one included. share: what each of the further ones counts beside the next, in the
    paper 1. A head is one matrix here; the paper's have a layer of their own each, and one output for all.
    """

    ahead: int = 2
    share: float = 1.0

    def __post_init__(self) -> None:
        gptlab.require("objective.ahead", self.ahead, at_least=1, example=2)
        gptlab.require("objective.share", self.share, at_least=0, example=1.0)

    def weights(self, config: gptlab.Sizes) -> Any:
        return {f"head{k}": (config.vocabSize, config.nEmbd) for k in range(1, self.ahead)}

    def __call__(
        self,
        weights: gptlab.Part,
        hidden: gptlab.Tensor,
        logits: gptlab.Tensor,
        tokens: Any,
        targets: Any,
        context: gptlab.Context,
    ) -> tuple[gptlab.Tensor, Any]:
        losses = logits.cross_entropy(targets)
        for k in range(1, self.ahead):
            # Told from where its target is, k positions on: a document ends there, too, whatever stands behind it.
            further = (context.behind(hidden, k) @ weights[f"head{k}"].T).cross_entropy(targets)
            losses = losses + further.where(context.positions >= k, 0.0) * self.share
        return losses, None


@gptlab.hookimpl
def gptlab_register_objectives(register: Any) -> None:
    register("multitoken", MultiToken)
