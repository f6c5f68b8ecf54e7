"""How a model knows where a token stands: added to the embedding, turned into the heads, or not at all.

A position component says one or more of three things, each of which it may leave as it is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError, require
from gptlab.model.component import Declared, Sizes, Weights


@dataclass(frozen=True)
class Position:
    """Knows nothing of positions; the base of those that do.

    `positions` are (T,) whole numbers, possibly traced: compute with them through Tensors
    (`x.constant(table).take(positions)`), and do not branch on them.
    """

    def weights(self, config: Sizes) -> Declared:
        return {}

    def embed(self, weights: Weights, x: Tensor, positions: Any) -> Tensor:
        """The hidden state (T, E) of the token embeddings (T, E)."""
        return x

    def rotate(self, heads: Tensor, positions: Any, config: Sizes) -> Tensor:
        """Queries or keys (T, H, D), before they meet."""
        return heads

    def bias(self, scores: Tensor, positions: Any, key_positions: Any) -> Tensor:
        """Attention scores (H, T, S), before the softmax."""
        return scores


@dataclass(frozen=True)
class NoPosition(Position):
    """No position at all: only causality tells the order (Kazemnejad et al. 2023, "NoPE")."""


@dataclass(frozen=True)
class Learned(Position):
    """A learned vector a position, added to the token's (Radford et al. 2018)."""

    def weights(self, config: Sizes) -> Declared:
        return {"positionEmbedding": (config.blockSize, config.nEmbd)}

    def embed(self, weights: Weights, x: Tensor, positions: Any) -> Tensor:
        return x + weights["positionEmbedding"].take(positions)


@dataclass(frozen=True)
class Rope(Position):
    """Rotary embedding (Su et al. 2021): pairs of entries of queries and keys turn with the position.

    base: pair i turns by base^(-2i/D) radians a position. Pairs are (i, i + D/2), as in GPT-NeoX and LLaMA.
    """

    base: float = 10000.0

    def __post_init__(self) -> None:
        require("model.position.base", self.base, above=0, example=10000)

    def weights(self, config: Sizes) -> Declared:
        if config.headDim % 2:
            raise UserError(
                f"rope turns pairs of entries, so headDim must be even: got headDim={config.headDim} "
                f"(nEmbd={config.nEmbd}, nHead={config.nHead}). Try model.headDim={config.headDim + 1}."
            )
        return {}

    def rotate(self, heads: Tensor, positions: Any, config: Sizes) -> Tensor:
        half = config.headDim // 2
        angles = np.outer(np.arange(config.blockSize), self.base ** (-np.arange(half) / half))
        cosine = heads.constant(np.cos(angles)).take(positions).reshape(-1, 1, half)
        sine = heads.constant(np.sin(angles)).take(positions).reshape(-1, 1, half)
        first, second = heads[..., :half], heads[..., half:]
        turned = first * cosine - second * sine
        return turned.concatenate(first * sine + second * cosine, axis=-1)
