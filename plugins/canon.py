"""Does it help a token to see its neighbours before attention looks for them?

To each number of x a weighted sum of itself and of the same number at the three positions before is added: a
convolution for each channel. Attention must learn to look one back; this need not.

Source: Allen-Zhu, "Physics of Language Models: Part 4.1, Architecture Design and the Magic of Canon Layers", 2025.
        Of its four places in a block this is the first, Canon-A.
Use:    python -m gptlab +experiment=canon           (or model/attention=canon)
"""

from dataclasses import dataclass
from typing import Any

import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class Canon(CausalAttention):
    """Causal attention on x[t] + w0 · x[t] + w1 · x[t-1] + ... (Allen-Zhu 2025, "Canon-A").

    width: how many positions the sum is over. nKVHead: heads of keys and values, as in causal attention.
    """

    width: int = 4

    def __post_init__(self) -> None:
        gptlab.require("model.attention.width", self.width, at_least=1, example=4)

    def weights(self, config: gptlab.Sizes) -> Any:
        return {"canon": (self.width, config.nEmbd), **super().weights(config)}

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, position: Any, context: gptlab.Context, config: Any
    ) -> gptlab.Tensor:
        mixed = x + x * weights["canon"][0]
        for k in range(1, self.width):
            mixed = mixed + context.behind(x, k) * weights["canon"][k]
        return super().__call__(weights, mixed, position, context, config)


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "canon", Canon)
