"""Does a model need attention at all, or will one state do that each token changes a little?

A recurrent network whose gate and candidate depend on x alone, not on the state before it. Of all positions before
its own, one sees a single vector, and generation keeps nothing else.

Source: Feng, Tung, Ahmed, Bengio, Hajimirsadeghi, "Were RNNs All We Needed?", 2024. Their parallel scan over
        logarithms is left out: the state is computed position by position.
Use:    python -m gptlab +experiment=mingru          (or model/attention=mingru)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab


@dataclass(frozen=True)
class MinGRU:
    """output · h, h[t] = (1 - z[t]) · h[t-1] + z[t] · candidate · x[t], z = sigmoid(gate · x) (Feng et al. 2024)."""

    def weights(self, config: gptlab.Sizes) -> Any:
        width = config.nHead * config.headDim
        return {
            "gate": (width, config.nEmbd),
            "candidate": (width, config.nEmbd),
            "output": (config.nEmbd, width),
        }

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, position: Any, context: gptlab.Context, config: Any
    ) -> gptlab.Tensor:
        gate, candidate = x.products(weights["gate"], weights["candidate"])
        share = (gate * 0.5).apply("tanh") * 0.5 + 0.5  # the sigmoid, which overflows nowhere written so

        def step(state: Any, kept: Any, new: Any) -> Any:
            state = kept * state + new
            return state, state

        start = x.constant(np.zeros(gate.shape[1:]))
        return context.scan(step, start, 1.0 - share, share * candidate) @ weights["output"].T


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("attention", "mingru", MinGRU)
