"""Muon: does it help to give every direction of a weight matrix a step of the same size?

Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks (kellerjordan.github.io).

python -m gptlab +experiment=muon
python -m gptlab +experiment=book optimizer=muon train.learningRate=0.01 optimizer.adamScale=0.5
"""

from dataclasses import dataclass

import numpy as np

import gptlab

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # the author's: steep at 0, so that 5 rounds are enough
NOT_HIDDEN = ("tokenEmbedding", "positionEmbedding", "output")  # the author leaves these to Adam


def orthogonalized(xp, matrix, rounds):
    """About U·Vᵀ of matrix = U·S·Vᵀ (..., m, n): singular values near 1, by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = xp.swapaxes(matrix, -1, -2) if tall else matrix
    x = x / (xp.sqrt(xp.sum(x * x, axis=(-2, -1), keepdims=True)) + 1e-7)
    for _ in range(rounds):
        gram = x @ xp.swapaxes(x, -1, -2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return xp.swapaxes(x, -1, -2) if tall else x


@dataclass(frozen=True)
class Muon:
    """Hidden matrices by orthogonalized Nesterov momentum; embeddings, output and vectors by Adam.

    momentum: how much of a hidden matrix's momentum is kept. rounds: of Newton and Schulz's iteration.
    adamScale: Adam's learning rate as a multiple of Muon's. beta1, beta2, epsAdam: Adam's.
    """

    momentum: float = 0.95
    rounds: int = 5
    adamScale: float = 1.0
    beta1: float = 0.85
    beta2: float = 0.99
    epsAdam: float = 1e-8

    def __post_init__(self):
        for field in ("momentum", "beta1", "beta2"):
            gptlab.require(f"optimizer.{field}", getattr(self, field), at_least=0, below=1, example=0.9)
        for field in ("adamScale", "epsAdam", "rounds"):
            default = type(self).__dataclass_fields__[field].default
            gptlab.require(f"optimizer.{field}", getattr(self, field), above=0, example=default)

    def init(self, params):
        zeros = {name: np.zeros_like(np.asarray(p)) for name, p in params.items()}
        hidden = {name: zero for name, zero in zeros.items() if zero.ndim > 1 and name not in NOT_HIDDEN}
        others = {name: zero for name, zero in zeros.items() if name not in hidden}
        return {"momentum": hidden, "mean": others, "square": others}

    def update(self, xp, params, grads, state, step, learningRate):
        def kept(key, share, power):
            return {n: share * old + (1 - share) * grads[n] ** power for n, old in state[key].items()}

        momentum = kept("momentum", self.momentum, 1)
        mean, square = kept("mean", self.beta1, 1), kept("square", self.beta2, 2)
        moved = {}
        for n, p in params.items():
            if n in momentum:
                ahead = self.momentum * momentum[n] + (1 - self.momentum) * grads[n]
                scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                moved[n] = p - learningRate * scale * orthogonalized(xp, ahead, self.rounds)
            else:
                root = xp.sqrt(square[n] / (1 - self.beta2**step)) + self.epsAdam
                moved[n] = p - learningRate * self.adamScale * mean[n] / (1 - self.beta1**step) / root
        return moved, {"momentum": momentum, "mean": mean, "square": square}


@gptlab.hookimpl
def gptlab_register_optimizers(register):
    register("muon", Muon)
