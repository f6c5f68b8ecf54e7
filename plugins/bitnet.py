"""Are three numbers enough? Each weight of a layer is -1, 0 or 1, times one scale for its matrix.

What is trained is a matrix of any numbers; what is used is made of it in every step, and the gradient passes straight
through the rounding. Activations stay as they are: of the paper's two quantizations (theirs to 8 bits) this is the one
of weights, and without the norm in front of each matrix.

Source: Ma, Wang, Ma, Wang, Wang, Huang, Dong, Wang, Xue, Wei, "The Era of 1-bit LLMs: All Large Language Models are in
        1.58 Bits", 2024. Straight-through: Bengio, Leonard, Courville 2013.
Use:    python -m gptlab +experiment=bitnet   (or model/reparametrization=bitnet)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import gptlab
from gptlab.model.reparametrization import OfMatrices


@gptlab.op(samples=[(0.6, 1.0), (-0.4, 1.0), (-3.0, 2.0), (0.3, 0.5), (0.0, 0.0)], exact_gradient=False)
def ternaryst(xp: Any, w: Any, scale: Any) -> Any:
    """The nearest of -scale, 0 and scale to w; its gradient is w's own, as if nothing were rounded."""
    half = scale / 2
    # RoundClip of the paper's equation 1, times the scale, without a division: a matrix of zeros stays one.
    return xp.where(w > half, scale, xp.where(w < -half, -scale, 0.0 * w)), (1.0, 0.0)


@dataclass(frozen=True)
class BitNet(OfMatrices):
    """W is -1, 0 or 1 times the mean of |latent| over the matrix (Ma et al. 2024, "BitNet b1.58").

    `latent` is trained, straight through the rounding. targets: as `attention.query`, that of every layer; `layers` is
    what the paper makes ternary, and embeddings and output stay as they are.
    """

    exact_gradient = False

    def parts(self, matrix: np.ndarray) -> dict[str, np.ndarray]:
        return {"latent": matrix}

    def made(self, parts: gptlab.Part) -> gptlab.Tensor:
        w = parts["latent"]
        scale = w.apply("maximum", -w)
        for _ in range(w.ndim):
            scale = scale.mean(-1)
        return w.apply("ternaryst", scale)


@gptlab.hookimpl
def gptlab_register_ops(register: Any) -> None:
    register(ternaryst)


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("reparametrization", "bitnet", BitNet)
