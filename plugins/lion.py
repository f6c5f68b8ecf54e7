"""Lion: is the sign of the momentum enough, without Adam's second moment?

Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2.

python -m gptlab +experiment=lion
python -m gptlab +experiment=book optimizer=lion train.learningRate=0.001
"""

from dataclasses import dataclass

import numpy as np

import gptlab


@dataclass(frozen=True)
class Lion:
    """p - rate · (sign(beta1 · m + (1 - beta1) · g) + weightDecay · p): every weight moves equally far.

    beta1: the momentum's share in the direction of this step. beta2: how much of the momentum m is
    kept. weightDecay: the share that a matrix shrinks by a step, before it is multiplied by the rate.

    Its steps are as long as Adam's longest ones: the authors use 3 to 10 times less learning rate.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    weightDecay: float = 0.0

    def __post_init__(self):
        gptlab.require("optimizer.beta1", self.beta1, at_least=0, below=1, example=0.9)
        gptlab.require("optimizer.beta2", self.beta2, at_least=0, below=1, example=0.99)
        gptlab.require("optimizer.weightDecay", self.weightDecay, at_least=0, example=0.1)

    def init(self, params):
        return {"momentum": {name: np.zeros_like(np.asarray(p)) for name, p in params.items()}}

    def update(self, xp, params, grads, state, step, learningRate):
        momentum = state["momentum"]
        decay = {name: self.weightDecay if p.ndim > 1 else 0.0 for name, p in params.items()}
        direction = {n: xp.sign(self.beta1 * momentum[n] + (1 - self.beta1) * g) for n, g in grads.items()}
        moved = {n: p - learningRate * (direction[n] + decay[n] * p) for n, p in params.items()}
        kept = {n: self.beta2 * momentum[n] + (1 - self.beta2) * g for n, g in grads.items()}
        return moved, {"momentum": kept}


@gptlab.hookimpl
def gptlab_register_optimizers(register):
    register("lion", Lion)
