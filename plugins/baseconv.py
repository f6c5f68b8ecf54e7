"""Can filters of fixed weights look up what stood beside a word, as attention does?

Each position gets a sum of all that came before it, by weights that depend on how far back it is and never on what it
is, and multiplies that by a gate. What is looked for must be there at a known distance; attention compares.

Source: Arora et al., "Zoology: Measuring and Improving Recall in Efficient Language Models", 2023: BaseConv, which can
        do what Hyena, H3 and RWKV do. Its two biases are left out.
Use:    python -m gptlab +experiment=baseconv        (or model/attention=baseconv)
"""

from dataclasses import dataclass
from typing import Any

import gptlab


@dataclass(frozen=True)
class BaseConv:
    """(gate · x[t]) ⊙ (f0 ⊙ x[t] + f1 ⊙ x[t-1] + ...), in the place of attention (Arora et al. 2023).

    width: how many positions the sum is over; null for blockSize.
    """

    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is not None:
            gptlab.require("model.attention.width", self.width, at_least=1, example="4, or null")

    def weights(self, config: gptlab.Sizes) -> Any:
        return {
            "gate": (config.nEmbd, config.nEmbd),
            "filter": (self.width or config.blockSize, config.nEmbd),
        }

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, position: Any, context: gptlab.Context, config: Any
    ) -> gptlab.Tensor:
        filters = weights["filter"]
        mixed = x * filters[0]
        for k in range(1, filters.shape[0]):
            mixed = mixed + context.behind(x, k) * filters[k]
        return (x @ weights["gate"].T) * mixed


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "baseconv", BaseConv)
