"""The switch layer: a router that sends each position to one of several mlps.

Legend: T positions, E nEmbd, N experts, W the width of an expert's hidden layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab


@dataclass(frozen=True)
class Switch:
    """p · expert(x), of nExpert mlps the one with the largest router probability p (Fedus et al. 2021).

    Each expert's hidden layer is `expansion` times as wide as the model. p scales the expert's
    answer, and so the router learns. Every expert is computed and all but one masked out: at these
    sizes that is faster than moving tokens about. Departing from the paper there is no limit to an expert's load.
    balance: times what `imbalance` says is added to what is minimized (the paper: 0.01); 0 for nothing.
    """

    nExpert: int = 4
    expansion: int = 4
    balance: float = 0.0

    def __post_init__(self) -> None:
        gptlab.require("model.mlp.nExpert", self.nExpert, at_least=1, example=4)
        gptlab.require("model.mlp.expansion", self.expansion, at_least=1, example=4)
        gptlab.require("model.mlp.balance", self.balance, at_least=0, example=0.01)

    def weights(self, config: gptlab.Sizes) -> dict[str, tuple[int, ...]]:
        width = self.expansion * config.nEmbd
        return {
            "router": (self.nExpert, config.nEmbd),
            "hidden": (self.nExpert, width, config.nEmbd),
            "output": (self.nExpert, config.nEmbd, width),
        }

    def probabilities(self, weights: Any, x: gptlab.Tensor) -> gptlab.Tensor:
        """(T, N): the softmax of router · x."""
        logits_TN = x @ weights["router"].T
        shares_TN = (logits_TN - logits_TN.largest()).apply("exp")
        return shares_TN / shares_TN.sum(keepdims=True)

    def imbalance(
        self, probabilities_TN: gptlab.Tensor, chosen_T: Any, context: gptlab.Context
    ) -> gptlab.Tensor:
        """(T,): nExpert · Σ f[n] · p[n], f[n] the share of the positions so far of the document that chose expert n.

        The paper's f and p are means over a batch. Here f is of the positions that the mask shows, which are the same
        in whatever row the document stands, and p is the position's own; 1 where each expert is chosen alike.
        """
        choices_TN = (chosen_T[:, None] == np.arange(self.nExpert)).astype(float)
        seen_TT = context.mask.astype(float)
        shares_TN = seen_TT @ choices_TN / seen_TT.sum(-1, keepdims=True)
        return (probabilities_TN * probabilities_TN.constant(shares_TN)).sum() * float(self.nExpert)

    def __call__(
        self,
        weights: Any,
        x: gptlab.Tensor,
        activation: Callable[[gptlab.Tensor], gptlab.Tensor],
        context: gptlab.Context | None = None,
    ) -> gptlab.Tensor:
        probabilities_TN = self.probabilities(weights, x)
        chosen_T = probabilities_TN.argmax()
        if self.balance and context is not None and context.penalties is not None:
            imbalance_T = self.imbalance(probabilities_TN, chosen_T, context)
            context.penalty("balance", imbalance_T * self.balance)
        answers_NTE = activation(x @ weights["hidden"].T) @ weights["output"].T
        mask_NT1 = chosen_T[None, :, None] == np.arange(self.nExpert)[:, None, None]
        return answers_NTE.sum(0, mask=mask_NT1) * probabilities_TN.pick(chosen_T).reshape(-1, 1)
