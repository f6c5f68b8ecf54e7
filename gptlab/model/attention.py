"""Attention: how a position reads from the positions before it. Legend: see component.py."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.engines.engine import Context
from gptlab.errors import UserError
from gptlab.model.component import Declared, Sizes, Weights
from gptlab.model.position import Position


@dataclass(frozen=True)
class CausalAttention:
    """output · softmax(q·k / √headDim + mask) · v over nHead heads (Vaswani et al. 2017).

    nKVHead: heads of keys and values, shared by groups of query heads (Ainslie et al. 2023,
    "GQA"; 1 is multi-query attention); by default one for each query head.
    """

    nKVHead: int | None = None

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
        return {
            "query": (query, config.nEmbd),
            "key": (shared, config.nEmbd),
            "value": (shared, config.nEmbd),
            "output": (config.nEmbd, query),
        }

    def __call__(
        self, weights: Weights, x: Tensor, position: Position, context: Context, config: Sizes
    ) -> Tensor:
        shared = self.heads(config)
        dim = config.headDim
        query_THD = (x @ weights["query"].T).reshape(-1, config.nHead, dim)
        key_THD = (x @ weights["key"].T).reshape(-1, shared, dim)
        value_THD = (x @ weights["value"].T).reshape(-1, shared, dim)
        query_THD = position.rotate(query_THD, context.positions, config)
        key_THD = position.rotate(key_THD, context.positions, config)
        key_SHD, value_SHD = context.past.extend(key_THD, value_THD)
        if shared != config.nHead:
            group = np.repeat(np.arange(shared), config.nHead // shared)
            key_SHD, value_SHD = key_SHD[:, group], value_SHD[:, group]

        query_HTD, key_HSD, value_HSD = (a.swapaxes(0, 1) for a in (query_THD, key_SHD, value_SHD))
        scores_HTS = (query_HTD @ key_HSD.T) * (1.0 / math.sqrt(dim))
        scores_HTS = position.bias(scores_HTS, context.positions, context.key_positions)
        heads_HTD = softmax(scores_HTS, context.mask).matmul(value_HSD, context.mask)
        return heads_HTD.swapaxes(0, 1).reshape(-1, config.nHead * dim) @ weights["output"].T


def softmax(scores: Tensor, mask: Any) -> Tensor:
    """exp(x) / sum(exp(x)) over the last axis, where the mask is True; exactly 0 elsewhere.

    What is masked is set aside before `exp` and after it, rather than sent through it as minus
    infinity: an `exp` that somebody swapped in need not know what to make of that.
    """
    seen = scores.where(mask, -math.inf)
    shifted = scores.minus(seen.largest(-1)).where(mask, 0.0)
    exponentials = shifted.apply("exp").where(mask, 0.0)
    return (exponentials / exponentials.sum(-1, keepdims=True, mask=mask)).where(mask, 0.0)
