"""Attention: how a position reads from the positions before it. Legend: see component.py."""

from dataclasses import dataclass

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context
from gptlab.errors import UserError, require
from gptlab.model.component import Declared, Sizes, Weights, affine, biased, with_bias
from gptlab.model.position import Position


@dataclass(frozen=True)
class CausalAttention:
    """output · softmax(q·k / √headDim + mask) · v over nHead heads (Vaswani et al. 2017).

    nKVHead: heads of keys and values, shared by groups of query heads (Ainslie et al. 2023,
    "GQA"; 1 is multi-query attention); by default one for each query head. scalePower: scores are q·k divided by
    headDim to this power: 0.5, or 1 where headDim grows with the width under muP (Yang et al. 2022).
    """

    nKVHead: int | None = None
    scalePower: float = 0.5

    def __post_init__(self) -> None:
        require("model.attention.scalePower", self.scalePower, at_least=0, at_most=1, example=0.5)

    def heads(self, config: Sizes) -> int:
        """Heads of keys and values. Raises UserError if they do not divide nHead."""
        count = config.nHead if self.nKVHead is None else self.nKVHead
        if count < 1 or config.nHead % count:
            divisors = [n for n in range(1, config.nHead + 1) if config.nHead % n == 0]
            raise UserError(
                f"nKVHead must divide nHead: got nKVHead={count}, nHead={config.nHead}. "
                f"Try model.attention.nKVHead={' or '.join(map(str, divisors))}."
            )
        return count

    def weights(self, config: Sizes) -> Declared:
        query = config.nHead * config.headDim
        shared = self.heads(config) * config.headDim
        matrices = {
            "query": (query, config.nEmbd),
            "key": (shared, config.nEmbd),
            "value": (shared, config.nEmbd),
            "output": (config.nEmbd, query),
        }
        return biased(matrices, config)

    def projected(
        self, weights: Weights, x: Tensor, context: Context, config: Sizes
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of x (T, E) the queries (T, H, D), keys (T, G, D) and values (T, G, D), for a subclass to change."""
        shared, dim = self.heads(config), config.headDim
        names = ("query", "key", "value")
        products = x.products(*(weights[name] for name in names))
        query, key, value = (
            with_bias(weights, each, name) for each, name in zip(products, names, strict=True)
        )
        return (
            query.reshape(-1, config.nHead, dim),
            key.reshape(-1, shared, dim),
            value.reshape(-1, shared, dim),
        )

    def __call__(
        self, weights: Weights, x: Tensor, position: Position, context: Context, config: Sizes
    ) -> Tensor:
        query, key, value = self.projected(weights, x, context, config)
        scale = None if self.scalePower == 0.5 else config.headDim**-self.scalePower
        heads_THD = context.attend(query, key, value, position, config, scale)
        return affine(weights, heads_THD.reshape(-1, config.nHead * config.headDim), "output")


@dataclass(frozen=True)
class NoAttention:
    """Adds nothing: each position sees its own token alone, which makes a bigram model."""

    def weights(self, config: Sizes) -> Declared:
        return {}

    def __call__(
        self, weights: Weights, x: Tensor, position: Position, context: Context, config: Sizes
    ) -> Tensor:
        return x.constant(np.zeros(x.shape))
