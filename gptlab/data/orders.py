"""The order in which documents are taken: as they are, or a seeded shuffle, of any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

LISTED = 1 << 24  # documents whose shuffled order is kept as a list: 64 MiB


class InOrder:
    """The rows from `start` to `stop`, without a list of them."""

    def __init__(self, stop: int, start: int = 0):
        self.start, self.stop = start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, at: slice | np.ndarray) -> Order:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                return self.rows(np.arange(start, stop, step))
            part = copy(self)
            part.start, part.stop = self.start + start, self.start + max(start, stop)
            return part
        at = np.flatnonzero(at) if at.dtype == bool else at
        return self.rows(np.where(at < 0, at + len(self), at) if at.min(initial=0) < 0 else at)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.rows(np.arange(len(self))), dtype=dtype)

    def rows(self, at: np.ndarray) -> np.ndarray:
        return at + self.start if self.start else at


class Scattered(InOrder):
    """A seeded order of `count` rows, each computed where it is asked for.

    A Feistel network on the row numbers; what falls outside of them goes through it again (Black, Rogaway
    2002, Ciphers with Arbitrary Finite Domains).
    """

    ROUNDS = 6

    def __init__(self, count: int, keys: np.ndarray):
        super().__init__(count)
        self.count, self.keys = count, keys
        self.half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)

    def rows(self, at: np.ndarray) -> np.ndarray:
        found = self._permuted(np.asarray(at).astype(np.uint64) + np.uint64(self.start))
        outside = np.flatnonzero(found >= self.count)
        while len(outside):
            found[outside] = self._permuted(found[outside])
            outside = outside[found[outside] >= self.count]
        return found.astype(np.int64)

    def _permuted(self, x: np.ndarray) -> np.ndarray:
        bits, mask = np.uint64(self.half), np.uint64((1 << self.half) - 1)
        left, right = x >> bits, x & mask
        for key in self.keys:
            mixed = (right + key) * np.uint64(0x9E3779B97F4A7C15)  # wraps at 2^64
            mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
            left, right = right, left ^ (mixed >> np.uint64(32)) & mask
        return left << bits | right


class Without(InOrder):
    """The rows 0 ... count-1 without those of a sorted list, which alone is in memory."""

    def __init__(self, left_out: np.ndarray, count: int):
        super().__init__(count - len(left_out))
        # How many rows of the order come before each that is left out.
        self.before = left_out - np.arange(len(left_out))

    def rows(self, at: np.ndarray) -> np.ndarray:
        at = np.asarray(at) + self.start
        return at + np.searchsorted(self.before, at, side="right")


class Through(InOrder):
    """The rows of `outer` in the order of `inner`."""

    def __init__(self, inner: InOrder, outer: InOrder):
        super().__init__(len(inner))
        self.inner, self.outer = inner, outer

    def rows(self, at: np.ndarray) -> np.ndarray:
        return self.outer.rows(self.inner.rows(np.asarray(at) + self.start))


Order = InOrder | np.ndarray


def through(inner: Order, outer: InOrder) -> Order:
    """The rows of `outer` in the order of `inner`: a list where `inner` is one."""
    if isinstance(inner, InOrder):
        return Through(inner, outer)
    rows = outer.rows(inner)
    return rows.astype(np.int32) if rows.max(initial=0) < 1 << 31 else rows


def shuffled(count: int, seed: Sequence[int]) -> Order:
    """A permutation of `count` rows: a list (int32) of up to 2^24, computed on demand beyond."""
    generator = np.random.default_rng(seed)
    if count <= LISTED:
        return generator.permutation(np.arange(count, dtype=np.int32))
    return Scattered(count, generator.integers(0, 1 << 63, Scattered.ROUNDS, dtype=np.uint64))
