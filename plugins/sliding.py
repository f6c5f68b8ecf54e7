"""Must every layer look at everything, or is it enough that one does?

Attention in which a position sees itself and the few before it. In a pattern with full attention, as
`model.pattern=[sliding,sliding,causal]`, most layers stay local, and what is far away is for the others.

Source: Beltagy, Peters, Cohan, "Longformer: The Long-Document Transformer", 2020; in a pattern with full attention:
        Gemma Team, "Gemma 2", 2024.
Use:    python -m gptlab +experiment=sliding         (or model.pattern=[sliding,causal])
"""

from dataclasses import dataclass
from typing import Any

import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class Sliding(CausalAttention):
    """Causal attention to the last `window` positions, one's own included (Beltagy et al. 2020).

    window: how many positions one sees. nKVHead: heads of keys and values, as in causal attention.
    """

    window: int = 4

    def __post_init__(self) -> None:
        gptlab.require("model.attention.window", self.window, at_least=1, example=4)

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, position: Any, context: gptlab.Context, config: Any
    ) -> gptlab.Tensor:
        return super().__call__(weights, x, position, context.within(self.window), config)


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "sliding", Sliding)
