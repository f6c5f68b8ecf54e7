"""How much of what relu throws away would a model keep if it could choose?

Below 0 the activation has a slope that each layer learns. It starts at 0, where it is relu.

Source: He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015 (with one slope a layer; they begin at 0.25).
Use:    python -m gptlab +experiment=prelu            (or model/activation=prelu model.activation.start=0.25)
"""

from dataclasses import dataclass
from typing import Any

import gptlab


@dataclass(frozen=True)
class PRelu:
    """relu(x) - slope · relu(-x), with a learned slope for each layer, `start` at first (He et al. 2015)."""

    start: float = 0.0

    def weights(self, config: gptlab.Sizes) -> dict[str, Any]:
        return {"slope": gptlab.Weight((1,), mean=self.start, std=0.0)}

    def __call__(self, x: gptlab.Tensor, weights: gptlab.Part) -> gptlab.Tensor:
        return x.apply("relu") - weights.slope * (-x).apply("relu")


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("activation", "prelu", PRelu)
