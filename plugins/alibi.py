"""Is it enough to tell attention how far back a token is, and nothing else?

No position is embedded. Each head subtracts from its scores the distance times a slope of its own:
heads of a large slope look near, those of a small one far.

Source: Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases", 2021.
Use:    python -m gptlab +experiment=alibi           (or model/position=alibi)
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab


def slopes(heads: int) -> np.ndarray:
    """(H,): 2^(-8/H), 2^(-16/H), ..., 2^-8 for H a power of two.

    Otherwise those of the next lower power of two, and then every other one of twice as many heads,
    as the authors do.
    """
    whole = 2 ** math.floor(math.log2(heads))
    more = 2.0 ** (-8.0 * np.arange(1, 2 * whole + 1) / (2 * whole))
    return np.concatenate([more[1::2], more[::2][: heads - whole]])


@dataclass(frozen=True)
class Alibi(gptlab.Position):
    """score - slope · distance, with a fixed slope for each head (Press et al. 2021)."""

    def bias(self, scores: gptlab.Tensor, positions: Any, key_positions: Any) -> gptlab.Tensor:
        # A key that comes later gets a bonus here, and is masked after.
        behind_TS = key_positions[None, :] - positions[:, None]
        return scores + scores.constant(slopes(scores.shape[0])[:, None, None] * behind_TS)


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("position", "alibi", Alibi)
