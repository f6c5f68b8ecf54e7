"""Need a model know exactly how far back a token is, or is "near, further, far" enough if it may learn what that means?

Distances fall into buckets: each of the near ones its own, the far ones together, in steps that grow with the distance.
Each head learns a number for each bucket, which is added to its scores; all layers share them.

Source: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2020 ("T5").
Use:    python -m gptlab +experiment=t5bias           (or model/position=t5bias model.position.buckets=8)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab


@dataclass(frozen=True)
class T5Bias(gptlab.Position):
    """score + a learned number of the head and of the bucket that the distance falls into (Raffel et al. 2020).

    The first half of the buckets have a distance each; the others grow by a constant factor up to `farthest`.
    """

    buckets: int = 8
    farthest: int = 64

    def __post_init__(self) -> None:
        gptlab.require("model.position.buckets", self.buckets, at_least=2, example=8)
        gptlab.require("model.position.farthest", self.farthest, above=self.buckets, example=64)

    def weights(self, config: gptlab.Sizes) -> dict[str, Any]:
        return {"relativeBias": (self.buckets, config.nHead)}

    def bias(
        self, scores: gptlab.Tensor, positions: Any, key_positions: Any, weights: gptlab.Part
    ) -> gptlab.Tensor:
        behind_TS = positions[:, None] - key_positions[None, :]
        # Counted by the distances at which buckets begin, so that no logarithm is rounded across one of them.
        bucket_TS = sum((behind_TS >= begin).astype(np.int32) for begin in self.beginnings())
        bias_TSH = weights.relativeBias.take(bucket_TS)
        return scores + bias_TSH.swapaxes(1, 2).swapaxes(0, 1)

    def beginnings(self) -> list[int]:
        """The distance at which each bucket but the first begins."""
        exact = self.buckets // 2
        far = np.arange(exact, self.buckets)
        grown = exact * (self.farthest / exact) ** ((far - exact) / (self.buckets - exact))
        return [*range(1, exact), *np.ceil(grown - 1e-9).astype(int).tolist()]


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("position", "t5bias", T5Bias)
