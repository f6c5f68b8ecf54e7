"""Do deep layers still know which token they read from, or must the first layer tell them?

Each layer mixes the values that it reads with those of the first layer, which are near to the tokens themselves.

Source: Zhou, Wu, Jiang, Lan, "Value Residual Learning For Alleviating Attention Concentration In Transformers", 2024.
        Of their variants this is the one in which both have a fixed share, the same in all layers.
Use:    python -m gptlab +experiment=valueresidual   (or model/attention=valueresidual)
"""

from dataclasses import dataclass
from typing import Any

import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class ValueResidual(CausalAttention):
    """Causal attention to (1 - share) · v + share · v of the first layer that has this attention (Zhou et al. 2024).

    share: of the first layer's values; 0 is causal attention. nKVHead: heads of keys and values, as in causal
    attention.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        gptlab.require("model.attention.share", self.share, at_least=0, at_most=1, example=0.5)

    def projected(self, weights: gptlab.Part, x: gptlab.Tensor, context: gptlab.Context, config: Any) -> Any:
        query, key, value = super().projected(weights, x, context, config)
        if "value" not in context.carried:
            context.carried["value"] = value
            return query, key, value
        return query, key, value * (1.0 - self.share) + context.carried["value"] * self.share


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "valueresidual", ValueResidual)
