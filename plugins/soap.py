"""SOAP: does Adam do better along the axes that the gradients have themselves?

Vyas et al. 2024, SOAP: Improving and Stabilizing Shampoo using Adam, algorithm 3.

python -m gptlab +experiment=soap
python -m gptlab +experiment=book optimizer=soap optimizer.every=1 train.learningRate=0.005

Where other processes run, set OPENBLAS_NUM_THREADS=1: threads that share a small QR wait for each other, and a
step with one took five times as long.
"""

from dataclasses import dataclass

import numpy as np

import gptlab


def flipped(xp, matrix):
    return xp.swapaxes(matrix, -1, -2)


def refreshed(xp, basis, gram, damping):
    """A step of orthogonal iteration: the Q of (gram / its mean eigenvalue + damping) · basis, each (..., n, n).

    The Q whose R has a diagonal above 0 is the only one. Without damping the columns that a gram of low rank
    leaves open would be made of rounding errors; with it they stay what they were, as far as they can.
    """
    mean = xp.mean(xp.diagonal(gram, axis1=-2, axis2=-1), axis=-1)[..., None, None]
    q, r = xp.linalg.qr(gram / (mean + 1e-30) @ basis + damping * basis)
    return q * xp.where(xp.diagonal(r, axis1=-2, axis2=-1) < 0, -1, 1)[..., None, :]


def only_if(xp, asked, make, otherwise):
    """make(), a dict of arrays, or `otherwise`.

    By xp.where it would be made at every step: of book about 5 ms a step instead of 2 (Adam: 0.4).
    """
    if xp is np:
        return make() if asked else otherwise
    from jax import lax

    return lax.cond(asked, make, lambda: otherwise)


@dataclass(frozen=True)
class SOAP:
    """Adam on Lᵀ·g·R, turned back; L and R are about the eigenvectors of the running means of g·gᵀ and gᵀ·g.

    beta1, beta2, epsAdam: Adam's; beta2 is of those means, too. every: steps from one turn of the axes to the
    next. largest: a matrix with a longer side, and any vector, is left to Adam (the authors turn the other side).
    damping: directions whose eigenvalue is far below this share of the mean one are hardly turned.

    Where the authors take the eigenvectors of the first gradient, the axes start as they are.
    """

    beta1: float = 0.85
    beta2: float = 0.99
    epsAdam: float = 1e-8
    every: int = 10
    largest: int = 512
    damping: float = 1e-4

    def __post_init__(self):
        for field in ("beta1", "beta2"):
            gptlab.require(f"optimizer.{field}", getattr(self, field), at_least=0, below=1, example=0.9)
        gptlab.require("optimizer.epsAdam", self.epsAdam, above=0, example="1e-8")
        gptlab.require("optimizer.every", self.every, at_least=1, example=10)
        gptlab.require("optimizer.largest", self.largest, at_least=0, example=512)
        gptlab.require("optimizer.damping", self.damping, above=0, example="1e-4")

    def init(self, params):
        zeros = {n: np.zeros_like(np.asarray(p)) for n, p in params.items()}
        state = {"mean": zeros, "square": zeros}
        for key, side in (("left", -2), ("right", -1)):
            grams = {
                n: np.zeros((*zero.shape[:-2], zero.shape[side], zero.shape[side]), zero.dtype)
                for n, zero in zeros.items()
                if zero.ndim > 1 and max(zero.shape[-2:]) <= self.largest
            }
            state[f"{key}Gram"] = grams
            state[key] = {n: gram + np.eye(gram.shape[-1], dtype=gram.dtype) for n, gram in grams.items()}
        return state

    def update(self, xp, params, grads, state, step, learningRate):
        left, right = state["left"], state["right"]

        def kept(old, new):
            return self.beta2 * old + (1 - self.beta2) * new

        def turned(n, x):
            return flipped(xp, left[n]) @ x @ right[n] if n in left else x

        def back(n, x):
            return left[n] @ x @ flipped(xp, right[n]) if n in left else x

        mean = {n: self.beta1 * state["mean"][n] + (1 - self.beta1) * g for n, g in grads.items()}
        square = {n: kept(state["square"][n], turned(n, g) ** 2) for n, g in grads.items()}
        moved = {}
        for n, p in params.items():
            root = xp.sqrt(square[n] / (1 - self.beta2**step)) + self.epsAdam
            moved[n] = p - learningRate * back(n, turned(n, mean[n]) / (1 - self.beta1**step) / root)
        grams = {
            "leftGram": {
                n: kept(old, grads[n] @ flipped(xp, grads[n])) for n, old in state["leftGram"].items()
            },
            "rightGram": {
                n: kept(old, flipped(xp, grads[n]) @ grads[n]) for n, old in state["rightGram"].items()
            },
        }

        def bases():
            return {
                key: {
                    n: refreshed(xp, q, grams[key + "Gram"][n], self.damping) for n, q in state[key].items()
                }
                for key in ("left", "right")
            }

        axes = only_if(xp, step % self.every == 0, bases, {"left": left, "right": right})
        return moved, {"mean": mean, "square": square, **grams, **axes}


@gptlab.hookimpl
def gptlab_register_optimizers(register):
    register("soap", SOAP)
