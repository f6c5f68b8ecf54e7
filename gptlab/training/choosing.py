"""How a number in [0, 1) picks a token by its logits: temperature, then top-k, then nucleus (Holtzman et al. 2020)."""

from __future__ import annotations

import math
from typing import Any


def choose_from_all(xp: Any, logits: Any, uniform: Any, temperature: Any) -> Any:
    """The token that a number in [0, 1) picks from (V,) logits, by the inverse of the distribution.

    Written once for numpy and jax, without branches, so that the temperature is a run-time input. Tokens
    are laid out in the order of their ids: no sort, which would take ten times as long as the model.
    """
    count = logits.shape[0]
    width = math.isqrt(count - 1) + 1
    # Below 1e-30 the quotient could overflow, while the draw has long been that of 0.
    shares = xp.exp((logits - xp.max(logits)) / xp.maximum(temperature, 1e-30))
    # First which of V^½ rows, then which of its tokens: XLA's running sum of all takes nearly as long as the model.
    rows = xp.concatenate([shares, xp.zeros(width * width - count, dtype=shares.dtype)]).reshape(width, width)
    ends = xp.cumsum(xp.sum(rows, axis=1))
    wanted = uniform * ends[-1]
    row = position(xp, ends, wanted)
    inside = xp.cumsum(rows[row])
    rest = xp.maximum(wanted - (ends[row] - inside[-1]), 0.0)
    drawn = row * width + position(xp, inside, rest)
    return xp.where(temperature <= 0, xp.argmax(logits), drawn)


def position(xp: Any, reached: Any, wanted: Any) -> Any:
    """Where a running sum passes `wanted`; where rounding keeps it from that, the last place that adds to it."""
    return xp.minimum(xp.sum(reached <= wanted), xp.sum(reached < reached[-1]))


def choose(xp: Any, logits: Any, uniform: Any, temperature: Any, topK: Any, topP: Any) -> Any:
    """`choose_from_all` of the topK likeliest tokens, and of those the nucleus topP.

    Tokens are laid out from the likeliest down, equal ones in the order of their ids.
    """
    greedy = temperature <= 0
    order = xp.argsort(-logits, stable=True)
    descending = logits[order]
    rank = xp.arange(descending.shape[0])
    # Below 1e-30 the quotient could overflow, while the draw has long been that of 0.
    shares = xp.exp((descending - descending[0]) / xp.maximum(temperature, 1e-30))
    shares = xp.where((topK <= 0) | (rank < topK), shares, 0.0)
    shares = shares / xp.sum(shares)
    before = xp.cumsum(shares) - shares
    # topP=1 keeps all, whatever the rounding of the running sum
    shares = xp.where((topP >= 1) | (before < topP) | (rank == 0), shares, 0.0)
    reached = xp.cumsum(shares)
    drawn = xp.sum(reached <= uniform * reached[-1])
    last = xp.sum(shares > 0) - 1
    return order[xp.where(greedy, 0, xp.minimum(drawn, last))]
