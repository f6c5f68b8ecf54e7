"""Must a position choose what it reads, or may what lies behind simply fade?

Attention without the softmax. The weight of a position is q·k times a decay for each step back, fast in some heads and
slow in others. So all that lies behind is one matrix a head, and generation keeps nothing else, however long the text.

Source: Sun et al., "Retentive Network: A Successor to Transformer for Large Language Models", 2023. Values are as wide
        as keys here, not twice, and the sum goes position by position, as the paper's does in generation. The paper
        also turns queries and keys: add model/position=rope.
Use:    python -m gptlab +experiment=retnet          (or model/attention=retnet)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab


def decays(heads: int) -> np.ndarray:
    """(H,): 1 - 2^-5, 1 - 2^-6, ... as in the paper."""
    return 1.0 - 2.0 ** (-5.0 - np.arange(heads))


@dataclass(frozen=True)
class Retention:
    """output · (silu(gate · x) · rmsnorm(y)), y[t] = q[t] · S[t] / √headDim, S[t] = decay · S[t-1] + k[t]ᵀ v[t].

    The norm is of each head by itself (Sun et al. 2023, "RetNet"). eps: is added to the mean square.
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        gptlab.require("model.attention.eps", self.eps, above=0, example="1e-5")

    def weights(self, config: gptlab.Sizes) -> Any:
        width = config.nHead * config.headDim
        matrices = {name: (width, config.nEmbd) for name in ("query", "key", "value", "gate")}
        return {**matrices, "output": (config.nEmbd, width)}

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, position: Any, context: gptlab.Context, config: Any
    ) -> gptlab.Tensor:
        H, D = config.nHead, config.headDim
        names = ("query", "key", "value", "gate")
        query, key, value, gate = x.products(*(weights[name] for name in names))
        query = position.rotate(query.reshape(-1, H, D), context.positions, config) * D**-0.5
        key = position.rotate(key.reshape(-1, H, D), context.positions, config)
        decay = x.constant(decays(H).reshape(H, 1, 1))

        def step(state_HDD: Any, q_HD: Any, k_HD: Any, v_HD: Any) -> Any:
            state_HDD = state_HDD * decay + k_HD.reshape(H, D, 1) * v_HD.reshape(H, 1, D)
            return state_HDD, (q_HD.reshape(H, D, 1) * state_HDD).sum(1)

        start = x.constant(np.zeros((H, D, D)))
        seen = context.scan(step, start, query, key, value.reshape(-1, H, D))
        # The norm also makes up for the sizes of the sums, which a softmax would divide by.
        seen = seen * ((seen * seen).mean(-1, keepdims=True) + self.eps) ** -0.5
        open_ = (gate * 0.5).apply("tanh") * 0.5 + 0.5  # the sigmoid, which overflows nowhere written so
        return (seen.reshape(-1, H * D) * gate * open_) @ weights["output"].T


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "retnet", Retention)
