"""Must a norm look at a whole vector, or is it enough that no number can grow too large?

Each number goes through a tanh of its own. Nothing is measured, no mean and no size: large ones are squeezed, and
small ones pass as through a straight line, which is what layernorms of trained transformers were seen to do.

Source: Zhu, Chen, He, LeCun, Liu, "Transformers without Normalization", 2025.
Use:    python -m gptlab +experiment=dyt             (or model/norm=dyt)
"""

from dataclasses import dataclass
from typing import Any

import gptlab


@dataclass(frozen=True)
class DynamicTanh:
    """scale · tanh(alpha · x) + shift (Zhu et al. 2025, "DyT").

    All three are learned: alpha is one number, scale a vector that starts at 1, shift one that starts at 0.
    alpha: what it starts at.
    """

    alpha: float = 0.5

    def __post_init__(self) -> None:
        gptlab.require("model.norm.alpha", self.alpha, above=0, example=0.5)

    def weights(self, config: gptlab.Sizes) -> Any:
        return {
            "alpha": gptlab.Weight((1,), mean=self.alpha, std=0.0),
            "scale": gptlab.Weight((config.nEmbd,), mean=1.0, std=0.0),
            "shift": gptlab.Weight((config.nEmbd,), mean=0.0, std=0.0),
        }

    def __call__(self, weights: gptlab.Part, x: gptlab.Tensor) -> gptlab.Tensor:
        return (x * weights["alpha"]).apply("tanh") * weights["scale"] + weights["shift"]


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("norm", "dyt", DynamicTanh)
