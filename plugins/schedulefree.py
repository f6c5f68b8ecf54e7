"""Schedule-free AdamW: can an average of the weights take the place of the falling learning rate?

Defazio et al. 2024, The Road Less Scheduled, algorithm 1.

python -m gptlab +experiment=schedulefree
python -m gptlab +experiment=book optimizer=schedulefree schedule=constant schedule.warmup=100
"""

from dataclasses import dataclass

import numpy as np

import gptlab


@dataclass(frozen=True)
class ScheduleFree:
    """Adam moves z; the model is x, the average of all z; the gradient is taken at y, between the two.

    z - rate · (g / (√v̂ + epsAdam) + weightDecay · y);  x = (1 - c) · x + c · z, where c is rate² by the sum
    of all rate² so far;  y = (1 - beta1) · z + beta1 · x. The params are y; what is evaluated and kept is x.

    beta1: the share of x in y. beta2: how much of the running mean v of the gradient's square is kept.
    weightDecay: the share that a matrix shrinks by a step, before it is multiplied by the rate.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsAdam: float = 1e-8
    weightDecay: float = 0.0

    def __post_init__(self):
        gptlab.require("optimizer.beta1", self.beta1, at_least=0, below=1, example=0.9)
        gptlab.require("optimizer.beta2", self.beta2, at_least=0, below=1, example=0.99)
        gptlab.require("optimizer.epsAdam", self.epsAdam, above=0, example="1e-8")
        gptlab.require("optimizer.weightDecay", self.weightDecay, at_least=0, example=0.1)

    def init(self, params):
        start = {name: np.array(p) for name, p in params.items()}
        zeros = {name: np.zeros_like(p) for name, p in start.items()}
        total = np.zeros((), dtype=next(iter(start.values())).dtype)
        return {"z": start, "x": start, "square": zeros, "total": {"weight": total}}

    def update(self, xp, params, grads, state, step, learningRate):
        total = state["total"]["weight"] + learningRate**2
        share = learningRate**2 / total
        square = {n: self.beta2 * state["square"][n] + (1 - self.beta2) * g * g for n, g in grads.items()}
        z, x = {}, {}
        for n, y in params.items():
            direction = grads[n] / (xp.sqrt(square[n] / (1 - self.beta2**step)) + self.epsAdam)
            decay = self.weightDecay * y if y.ndim > 1 else 0.0
            z[n] = state["z"][n] - learningRate * (direction + decay)
            x[n] = (1 - share) * state["x"][n] + share * z[n]
        moved = {n: (1 - self.beta1) * z[n] + self.beta1 * x[n] for n in params}
        return moved, {"z": z, "x": x, "square": square, "total": {"weight": total}}

    def evaluation_weights(self, xp, params, state):
        return dict(state["x"])


@gptlab.hookimpl
def gptlab_register_optimizers(register):
    register("schedulefree", ScheduleFree)
