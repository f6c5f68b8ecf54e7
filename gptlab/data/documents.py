"""Encoded documents: a table of them, or cuts of one long stream of tokens that may lie in a file.

Legend: N documents, T positions, W = T + 1 their width, M tokens of a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gptlab.data.arrays import Array, runs
from gptlab.data.orders import InOrder, Order

AT_ONCE = 1 << 19  # tokens that are looked at in one piece
TABLE = 1 << 24  # tokens up to which a table is quicker and costs little: 64 MiB


class Documents:
    """Encoded documents: tokens (N, T+1), BOS first, padded at the end; lengths (N,), predictions in each."""

    def __init__(self, tokens: np.ndarray, lengths: np.ndarray):
        self._tokens, self._lengths = tokens, lengths

    @property
    def tokens(self) -> np.ndarray:
        return self._tokens

    @property
    def lengths(self) -> np.ndarray:
        return self._lengths

    @property
    def width(self) -> int:
        """T + 1, the tokens of the longest document."""
        return int(self._tokens.shape[1])

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, rows: slice | Order) -> Documents:
        at = as_index(rows)
        return Documents(self._tokens[at], self._lengths[at])

    def targets(self) -> Iterator[np.ndarray]:
        """What is to be predicted, in pieces."""
        for start in range(0, len(self), max(1, AT_ONCE // self.width)):
            part = self[start : start + max(1, AT_ONCE // self.width)]
            tokens, lengths = part.tokens[:, 1:], part.lengths
            yield tokens[np.arange(tokens.shape[1]) < lengths[:, None]]

    def unigram_entropy(self) -> float:
        """The entropy, in nats, of what is to be predicted, each prediction taken by itself."""
        counts = np.zeros(0, dtype=np.int64)
        for part in self.targets():
            more = np.bincount(part, minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        shares = counts[counts > 0] / counts.sum()
        return float(-(shares * np.log(shares)).sum())


@dataclass(frozen=True)
class TokenStream:
    """BOS w1 ... wn BOS w1 ... : the tokens (M,) of all texts, a BOS before and after each.

    tokens: of any integer type. starts (N+1,): where each text's BOS stands; the last entry is that of the
    final BOS. longest: the most predictions in a text. bos: its id.
    """

    tokens: Array
    starts: Array
    longest: int
    bos: int


class Cuts(Documents):
    """Documents cut from a stream: a text each, at most blockSize predictions of it, or windows that tile it."""

    def __init__(self, stream: TokenStream, blockSize: int, window: bool, rows: Order | None = None):
        self.stream, self.blockSize, self.window = stream, blockSize, window
        predictions = len(stream.tokens) - 1
        self.count = -(-predictions // blockSize) if window else len(stream.starts) - 1
        self.rows: Order = InOrder(self.count) if rows is None else rows

    @property
    def width(self) -> int:
        longest = len(self.stream.tokens) - 1 if self.window else self.stream.longest
        return min(self.blockSize, longest) + 1

    @property
    def lengths(self) -> np.ndarray:
        lengths = np.empty(len(self), dtype=np.int32)
        for start in range(0, len(self), AT_ONCE):
            lengths[start : start + AT_ONCE] = self._bounds(slice(start, start + AT_ONCE))[1]
        return lengths

    @property
    def tokens(self) -> np.ndarray:
        tokens = np.empty((len(self), self.width), dtype=np.int32)
        columns = np.arange(self.width)
        count = max(1, AT_ONCE // self.width)
        for start in range(0, len(self), count):
            begins, lengths = self._bounds(slice(start, start + count))
            part = runs(self.stream.tokens, begins, self.width)
            tokens[start : start + count] = np.where(columns <= lengths[:, None], part, self.stream.bos)
        return tokens

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | Order) -> Cuts:
        # An order stays one, and is not written out, where it is one of the stream's own rows.
        chosen = rows if self._whole and isinstance(rows, InOrder) else self.rows[as_index(rows)]
        return Cuts(self.stream, self.blockSize, self.window, chosen)

    @property
    def _whole(self) -> bool:
        return type(self.rows) is InOrder and len(self) == self.count

    def _bounds(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """(N,) where in the stream these documents begin, and (N,) their predictions."""
        rows = np.asarray(self.rows[part])
        if self.window:
            begins = rows.astype(np.int64) * self.blockSize
            left = len(self.stream.tokens) - 1 - begins
        else:
            bounds = runs(self.stream.starts, rows, 2)
            begins, left = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
        return begins, np.minimum(left, self.blockSize).astype(np.int32)

    def targets(self) -> Iterator[np.ndarray]:
        """Of all documents of the stream straight from it; of some, from each."""
        if not self._whole:
            yield from super().targets()
        elif self.window or self.stream.longest <= self.blockSize:
            for start in range(1, len(self.stream.tokens), AT_ONCE):
                yield self.stream.tokens[start : start + AT_ONCE]
        else:
            yield from self._beginnings()

    def _beginnings(self) -> Iterator[np.ndarray]:
        """The first blockSize predictions of each text."""
        first = 0
        while first < self.count:
            bounds = self.stream.starts[first : first + AT_ONCE // 8 + 1]
            # As many texts as fit, but one at least.
            fitting = int(np.searchsorted(bounds, bounds[0] + AT_ONCE, side="right"))
            bounds = bounds[: max(2, fitting)]
            at = np.arange(bounds[-1] - bounds[0]) - np.repeat(bounds[:-1] - bounds[0], np.diff(bounds))
            part = self.stream.tokens[int(bounds[0]) + 1 : int(bounds[-1]) + 1]
            yield part[at < self.blockSize]
            first += len(bounds) - 1

    def in_memory(self) -> Documents:
        """The same as a table if it is a small one."""
        small = len(self) * self.width <= TABLE
        return Documents(self.tokens, self.lengths) if small else self


def as_index(rows: slice | Order) -> slice | np.ndarray:
    return rows if isinstance(rows, slice) else np.asarray(rows)
