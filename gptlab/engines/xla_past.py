"""What generation keeps of earlier positions on the xla engine: arrays of fixed shapes, made before the first one.

Legend: S positions of a sample, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context, Through
from gptlab.engines.engine import Definition

Shape = tuple[int, ...]
Buffers = list[tuple[jax.Array, ...]]  # of each call


@dataclass(frozen=True)
class Kept:
    """What one call keeps. growing: these shapes of each position, as keys and values; else a state, however many."""

    each: tuple[Shape, ...]
    growing: bool

    def shapes(self, length: int) -> list[Shape]:
        """Of its buffers, for a sample of so many positions."""
        return [(length, *shape) if self.growing else shape for shape in self.each]


class RecordingPast:
    """Learns what a definition keeps, so that buffers can be made for it."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.kept.append(Kept((key.shape[1:], value.shape[1:]), growing=True))
        return key, value

    def advance(self, start: list[Tensor], through: Through) -> Any:
        self.kept.append(Kept(tuple(t.shape for t in start), growing=False))
        return through(start)[1]


class BufferPast:
    """Keys and values in buffers of a fixed length S, written at one position; states as they are."""

    def __init__(self, buffers: Buffers, position: jax.Array):
        self.buffers = list(buffers)
        self._position = position
        self._next = 0

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        call = self._call()
        written = tuple(
            lax.dynamic_update_slice_in_dim(buffer, new.data, self._position, 0)
            for buffer, new in zip(self.buffers[call], (key, value), strict=True)
        )
        self.buffers[call] = written
        return Tensor(written[0], key.arithmetic), Tensor(written[1], value.arithmetic)

    def advance(self, start: list[Tensor], through: Through) -> Any:
        call = self._call()
        state = [Tensor(b, t.arithmetic) for b, t in zip(self.buffers[call], start, strict=True)]
        after, result = through(state)
        self.buffers[call] = tuple(t.data for t in after)
        return result

    def _call(self) -> int:
        self._next += 1
        return self._next - 1


def kept_of_each(
    definition: Definition, named: dict[str, Tensor], token: jax.Array
) -> tuple[list[Kept], int]:
    """What is kept, in the order in which components ask for it; and V."""
    recorder = RecordingPast()
    seen = np.arange(1, dtype=np.int32)
    first = Context(seen, seen, np.ones((1, 1), dtype=bool), recorder)
    logits = jax.eval_shape(lambda token: definition.logits(named, token[None], first).data, token)
    return recorder.kept, logits.shape[-1]


def next_logits(
    definition: Definition,
    named: dict[str, Tensor],
    token: jax.Array,
    buffers: Buffers,
    t: jax.Array,
    length: int,
) -> tuple[jax.Array, Buffers]:
    """(V,) of the token at position t, after those in the buffers, of `length` positions; and the buffers with it."""
    seen = np.arange(length, dtype=np.int32)
    past = BufferPast(buffers, t)
    context = Context(t[None], seen, (seen <= t)[None, :], past)
    return definition.logits(named, token[None], context).data[0], past.buffers
