"""Can attention take away what it reads by mistake?

A softmax gives each position some share, wanted or not. Here two of them read the same values, and a learned part of
what the second reads is taken away from the first, as noise that both have.

Source: Ye, Dong, Xia, Sun, Zhu, Huang, Wei, "Differential Transformer", 2024.
Use:    python -m gptlab +experiment=differential    (or model/attention=differential)
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab


@dataclass(frozen=True)
class Differential:
    """output · (1 - start) · rmsnorm((softmax(q1·k1 / √D) - lambda · softmax(q2·k2 / √D)) · v) (Ye et al. 2024).

    Two of the nHead queries make one head, whose values are 2 headDim wide: the matrices are those of causal attention.
    lambda = exp(firstQuery · firstKey) - exp(secondQuery · secondKey) + start, of four learned vectors; start is
    0.8 - 0.6 exp(-0.3 layer), with layers from 0 up. The norm is of each head by itself, times a learned scale that all
    heads share. eps: is added to the mean square.
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        gptlab.require("model.attention.eps", self.eps, above=0, example="1e-5")

    def weights(self, config: gptlab.Sizes) -> Any:
        if config.nHead % 2:
            raise gptlab.UserError(
                f"differential attention takes queries in pairs, so nHead must be even: got nHead={config.nHead}. "
                f"Try model.nHead={config.nHead + 1} model.headDim={config.headDim}."
            )
        width = config.nHead * config.headDim
        vector = gptlab.Weight((config.headDim,), std=0.1)
        return {
            **{name: (width, config.nEmbd) for name in ("query", "key", "value")},
            "output": (config.nEmbd, width),
            **{name: vector for name in ("firstQuery", "firstKey", "secondQuery", "secondKey")},
            "scale": gptlab.Weight((2 * config.headDim,), mean=1.0, std=0.0),
        }

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, position: Any, context: gptlab.Context, config: Any
    ) -> gptlab.Tensor:
        heads, dim = config.nHead // 2, config.headDim
        query, key, value = x.products(weights["query"], weights["key"], weights["value"])
        query, key = (pairs.reshape(-1, 2 * heads, dim) for pairs in (query, key))
        both = value.reshape(-1, heads, 2 * dim)[:, np.repeat(np.arange(heads), 2)]
        seen = context.attend(query, key, both, position, config)
        first, second = seen[:, ::2], seen[:, 1::2]
        start = 0.8 - 0.6 * math.exp(-0.3 * (context.layer or 0))
        seen = first - second * (exponential(weights, "first") - exponential(weights, "second") + start)
        seen = seen * ((seen * seen).mean(-1, keepdims=True) + self.eps) ** -0.5 * weights["scale"]
        return (seen * (1.0 - start)).reshape(-1, config.nHead * dim) @ weights["output"].T


def exponential(weights: gptlab.Part, which: str) -> gptlab.Tensor:
    """(1,): exp(q' · k')."""
    return (weights[f"{which}Query"] * weights[f"{which}Key"]).sum(keepdims=True).apply("exp")


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "differential", Differential)
