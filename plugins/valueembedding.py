"""Must a token's part in what attention carries be worked out of the hidden state, or may each layer look it up?

Each layer has a table of its own, a vector a token, which is mixed into the values and not into the hidden state.

Source: Jordan et al., "modded-nanogpt: Speedrunning the NanoGPT baseline", 2024. There pairs of layers share a table.
Use:    python -m gptlab +experiment=valueembedding  (or model/attention=valueembedding)
"""

from dataclasses import dataclass
from typing import Any

import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class ValueEmbedding(CausalAttention):
    """Causal attention to parts[0] · v + parts[1] · table[token], both parts learned (Jordan et al. 2024).

    Both parts start at ½. nKVHead: heads of keys and values, as in causal attention.
    """

    def weights(self, config: gptlab.Sizes) -> Any:
        return {
            **super().weights(config),
            "table": (config.vocabSize, self.heads(config) * config.headDim),
            "parts": gptlab.Weight((2,), mean=0.5, std=0.0),
        }

    def projected(self, weights: gptlab.Part, x: gptlab.Tensor, context: gptlab.Context, config: Any) -> Any:
        query, key, value = super().projected(weights, x, context, config)
        found = weights["table"].take(context.tokens).reshape(*value.shape)
        parts = weights["parts"]
        return query, key, value * parts[:1] + found * parts[1:]


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "valueembedding", ValueEmbedding)
