"""Can attention and mlp work side by side, or must the mlp see what attention found?

One norm feeds both, and both are added at once, so that a machine can compute them together.

Source: Wang, Komatsuzaki, "GPT-J-6B: A 6 Billion Parameter Autoregressive Language Model", 2021.
Use:    python -m gptlab +experiment=parallelblock   (or model/block=parallelblock)
"""

from dataclasses import dataclass
from typing import Any

import gptlab


@dataclass(frozen=True)
class ParallelBlock:
    """x + attention(norm(x)) + mlp(norm(x)), with one norm (Wang, Komatsuzaki 2021, "GPT-J")."""

    def weights(self, model: Any) -> dict[str, Any]:
        parts = {"norm": model.norm, "attention": model.attention, "mlp": model.mlp}
        return {
            f"{part}.{name}": weight
            for part, component in parts.items()
            for name, weight in component.weights(model.sizes).items()
        }

    def __call__(
        self, weights: gptlab.Part, x: gptlab.Tensor, model: Any, context: gptlab.Context
    ) -> gptlab.Tensor:
        normed = model.norm(weights.within("norm"), x)
        return x + model.attend(weights, normed, context) + model.feed(weights, normed)


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("block", "parallelblock", ParallelBlock)
