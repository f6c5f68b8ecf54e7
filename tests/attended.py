"""An attention of given numbers on given numbers, outside of any model; and its softmax by hand."""

from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context, causal_context
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of
from gptlab.model.component import Part
from gptlab.model.gpt import GPT
from tests.models import make_gpt


def numbers_of(attention: Any, sizes: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Its weights, all drawn from N(0, 1), whatever they would start at."""
    generator = np.random.default_rng(seed)
    declared = attention.weights(sizes)
    return {name: generator.normal(size=getattr(w, "shape", w)) for name, w in declared.items()}


def attended(
    attention: Any,
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    context: Context | None = None,
    gpt: GPT | None = None,
) -> np.ndarray:
    """(T, E) of x (T, E), with the sizes and the position of a model: by default small, and none."""
    gpt, arrays = gpt or make_gpt(position="none"), ScalarArithmetic(OpTable())
    part = Part({f"a.{name}": Tensor(arrays.constant(w), arrays) for name, w in weights.items()}, "a")
    given = Tensor(arrays.constant(x), arrays)
    y = attention(part, given, gpt.position, context or causal_context(len(x)), gpt.sizes)
    return data_of(y.data)


def causal_shares(scores: np.ndarray) -> np.ndarray:
    """The softmax of (..., T, T) over what is not later."""
    scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def rms(x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)
