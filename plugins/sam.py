"""SAM: does a step by the gradient of a worse place nearby lead to weights that generalize better?

Foret, Kleiner, Mobahi, Neyshabur 2021, Sharpness-Aware Minimization for Efficiently Improving Generalization.

python -m gptlab +experiment=sam
python -m gptlab +experiment=book optimizer=samsgd optimizer.momentum=0.9 train.learningRate=0.3
"""

from dataclasses import dataclass

import gptlab


def uphill(xp, params, grads, radius):
    """The params `radius` away, along the gradient of all of them."""
    # Not 0/0 where there is no gradient.
    norm = xp.sqrt(sum(xp.sum(g * g) for g in grads.values())) + 1e-12
    return {n: p + radius / norm * grads[n] for n, p in params.items()}


@dataclass(frozen=True)
class Uphill:
    """An optimizer's step by the gradient at the worst place near p, to first order. It costs two gradients."""

    radius: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        gptlab.require("optimizer.radius", self.radius, at_least=0, example=0.05)

    def update(self, xp, params, grads, state, step, learningRate, again):
        _, grads = again(uphill(xp, params, grads, self.radius))
        return super().update(xp, params, grads, state, step, learningRate)


@dataclass(frozen=True)
class SAM(Uphill, gptlab.AdamW):
    """AdamW by the gradient at p + radius · g / |g|, the worst place near p to first order. A step costs two.

    radius: how far away that is, over all weights together. beta1, beta2, epsAdam, weightDecay: AdamW's.
    """


@dataclass(frozen=True)
class SAMSGD(Uphill, gptlab.SGD):
    """SGD by that gradient, as the authors train. radius: as above. momentum: SGD's."""


@gptlab.hookimpl
def gptlab_register_optimizers(register):
    register("sam", SAM)
    register("samsgd", SAMSGD)
