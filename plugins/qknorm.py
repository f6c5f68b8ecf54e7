"""Should attention go by where queries and keys point, and not by how long they are?

Each query and key is brought to one size before they meet, so that no score can run away while the weights grow. How
sharp attention is to be it learns by a scale for each entry of a head.

Source: Henry, Dachapally, Pawar, Chen, "Query-Key Normalization for Transformers", 2020: length 1 and one factor.
        Dehghani et al., "Scaling Vision Transformers to 22 Billion Parameters", 2023: a layernorm and a scale an entry.
        Here it is an rmsnorm, which keeps the direction as the first does, with the scales of the second.
Use:    python -m gptlab +experiment=qknorm          (or model/attention=qknorm)
"""

from dataclasses import dataclass
from typing import Any

import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class QKNorm(CausalAttention):
    """Causal attention of rmsnorm(q) · queryScale and rmsnorm(k) · keyScale (Henry et al. 2020, Dehghani et al. 2023).

    Each head is normed by itself, and all heads share the scales, which start at 1. eps: is added to the mean square.
    nKVHead: heads of keys and values, as in causal attention.
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        gptlab.require("model.attention.eps", self.eps, above=0, example="1e-5")

    def weights(self, config: gptlab.Sizes) -> Any:
        scale = gptlab.Weight((config.headDim,), mean=1.0, std=0.0)
        return {**super().weights(config), "queryScale": scale, "keyScale": scale}

    def projected(self, weights: gptlab.Part, x: gptlab.Tensor, context: gptlab.Context, config: Any) -> Any:
        query, key, value = super().projected(weights, x, context, config)
        return self.normed(query) * weights["queryScale"], self.normed(key) * weights["keyScale"], value

    def normed(self, heads: gptlab.Tensor) -> gptlab.Tensor:
        return heads * ((heads * heads).mean(-1, keepdims=True) + self.eps) ** -0.5


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "qknorm", QKNorm)
