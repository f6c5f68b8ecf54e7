"""Attention between the projections of a component: what turns with the position, the cache, the blocks of a long row,
the mask. Legend: T positions, S positions that may be attended to, H heads, D numbers of a head."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError

if TYPE_CHECKING:
    from gptlab.engines.context import Context


class Placing(Protocol):
    """What is asked of a position component."""

    def rotate(self, heads: Tensor, positions: Any, config: Any) -> Tensor: ...

    def bias(self, scores: Tensor, positions: Any, key_positions: Any) -> Tensor: ...


def attend(
    context: Context,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    position: Placing,
    config: Any,
    scale: float | None,
) -> Tensor:
    """(T, H, D); see Context.attend."""
    heads, shared = query.shape[1], key.shape[1]
    if heads % shared or value.shape[1] != shared:
        raise UserError(
            f"the number of key heads must divide that of query heads and equal that of value heads: got {heads} "
            f"of queries, {shared} of keys, {value.shape[1]} of values."
        )
    query = position.rotate(query, context.positions, config)
    key = position.rotate(key, context.positions, config)
    keys, values = context.past.extend(key, value)
    if shared != heads:
        group = np.repeat(np.arange(shared), heads // shared)
        keys, values = keys[:, group], values[:, group]
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale

    # The scores of a long row fill no cache, and half of them nobody may see.
    draw = context.draws.site(context.layer) if context.draws and context.dropout else None
    blocks_THD = []
    for rows, seen, part in context.blocks(query.arithmetic.block):
        scores_HTS = query[rows].einsum("thd,shd->hts", keys[seen]) * factor
        scores_HTS = position.bias(scores_HTS, part.positions, part.key_positions)
        if draw is None:
            blocks_THD.append(scores_HTS.attend(values[seen], part.mask))
        else:
            blocks_THD.append(attend_to_some(part, draw, scores_HTS, values[seen]))
    return blocks_THD[0].concatenate(*blocks_THD[1:], axis=0)


def attend_to_some(context: Context, draw: int, scores_HTS: Tensor, values: Tensor) -> Tensor:
    """The same with the shares of attention dropped out at the context's rate (Vaswani et al. 2017)."""
    assert context.draws is not None
    heads, rate = scores_HTS.shape[0], context.dropout
    drawn = context.draws.of_pairs(draw, heads, context.positions, context.key_positions)
    shares = (scores_HTS.softmax(context.mask) * (1.0 / (1.0 - rate))).where(drawn >= rate, 0.0)
    return shares.einsum("hts,shd->thd", values, context.mask)
