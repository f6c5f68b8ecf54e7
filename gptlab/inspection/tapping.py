"""A model that tells what goes on inside it: hidden states between its blocks, shares of its attention.

Legend: L layers, H heads, T positions, S positions that may be attended to, E nEmbd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.engines.engine import Context
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.model.component import Part


class RecordingArithmetic(XlaArithmetic):
    """XlaArithmetic that keeps every softmax over the positions of a row, whichever component asks for it."""

    block = None  # rows in one piece, so that a share's place in an array is its position

    def __init__(self, ops: OpTable, dtype: str):
        super().__init__(ops, dtype)
        self.shares: list[jax.Array] = []

    def softmax(self, x: jax.Array, mask: Any) -> jax.Array:
        shares = super().softmax(x, mask)
        if jnp.shape(mask)[-2:] == x.shape[-2:] and x.shape[-1] == x.shape[-2]:
            self.shares.append(shares.reshape(-1, *x.shape[-2:]))
        return shares

    def attend(self, scores: jax.Array, values: jax.Array, mask: Any) -> jax.Array:
        # As it is written for every engine: by way of `softmax`, which the fused one leaves out.
        return self.einsum("hts,shd->thd", self.softmax(scores, mask), values, mask)


@dataclass(eq=False)
class TappedBlock:
    """A block that keeps what comes in and goes out, and adds to it what its gradient is wanted at.

    model: the one that it is a block of, as it was. shifts: L+1 arrays of zeros, each of the shape of its
    hidden state, added to the hidden states by true arithmetic: the gradient with respect to them is that
    of the hidden states; None for what takes none. arithmetic: that which the weights of the trace have.
    After a forward pass: hidden, L+1 arrays, (T, E) where no component changes that, None for what is no
    Tensor; shares, for each of L layers what it took a softmax over, (any number of heads, T, T) each.
    """

    block: Any
    model: Any
    shifts: Sequence[jax.Array | None]
    arithmetic: RecordingArithmetic
    hidden: list[jax.Array | None] = field(default_factory=list)
    shares: list[list[jax.Array]] = field(default_factory=list)

    def __call__(self, weights: Part, x: Tensor, model: Any, context: Context) -> Tensor:
        if not self.hidden:
            x = self._tap(x)
        before = len(self.arithmetic.shares)
        x = self._tap(self.block(weights, x, self.model, context))
        self.shares.append(self.arithmetic.shares[before:])
        return x

    def _tap(self, x: Any) -> Any:
        if not isinstance(x, Tensor):  # what goes from block to block is the block's own business
            self.hidden.append(None)
            return x
        shift = self.shifts[len(self.hidden)] if self.shifts else None
        self.hidden.append(x.data if shift is None else x.data + shift)
        return Tensor(self.hidden[-1], x.arithmetic)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.block, name)
