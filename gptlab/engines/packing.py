"""Short documents share a row, so that little of a batch is padding.

Compiled programs have fixed shapes, and real documents are short: of 16 names of 3 to 12 letters,
padded to 16 positions each, more than half is padding. Packed first-fit into rows, longest first,
they take 8 rows of 16, now and then 9. A pass is the (rows, width) that is compiled; a step whose documents
need more takes another pass, and its gradients add up.

Legend: C steps, B documents of a batch, T positions of the longest, P passes, R rows, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SAMPLE = 4096  # lengths that the choice of a shape looks at
TRIALS = 16384  # documents that each trial packing takes, in as many batches as that makes
WORTH = 0.9  # a packing that leaves more than this share of the positions is not worth its indices
# What attention adds to a position's cost by its row's width, measured at nEmbd 16 to 128.
WIDTH_COST = 256.0
PASS_COST = 24  # what a pass costs apart from its positions, in positions
# More positions than this are several passes, of a row at least: what a pass makes of them would fit into no cache.
PASS_POSITIONS = 512
# And on a device that is idle with so few; not measured, and a batch of this many is rare.
PASS_POSITIONS_OF_ACCELERATOR = 1 << 16


@dataclass(frozen=True)
class PassShape:
    rows: int
    width: int


@dataclass(frozen=True)
class Placement:
    """Where each document of a chunk goes: its row within the step (C, B), its first column (C, B)."""

    row: np.ndarray
    column: np.ndarray

    @property
    def rows_needed(self) -> np.ndarray:
        """(C,)"""
        return self.row.max(axis=1) + 1


def place(lengths: np.ndarray, width: int) -> Placement:
    """First fit, longest first, of documents (C, B) into rows of `width`; all steps at once."""
    steps, batch = lengths.shape
    every = np.arange(steps)
    row = np.empty((steps, batch), dtype=np.int32)
    column = np.empty((steps, batch), dtype=np.int32)
    free = np.full((steps, batch), width, dtype=np.int32)
    for document in np.argsort(-lengths, axis=1, kind="stable").T:
        length = lengths[every, document]
        first = np.argmax(free >= length[:, None], axis=1)
        row[every, document] = first
        column[every, document] = width - free[every, first]
        free[every, first] -= length
    return Placement(row, column)


def choose_shape(
    population: np.ndarray,
    batch: int,
    longest: int,
    parts: int = 1,
    devices: int = 1,
    accelerated: bool = False,
) -> PassShape | None:
    """The shape of a pass for batches of documents with these lengths; None where packing does not pay.

    parts: passes that a batch is to take at the least, so that what a pass holds needs so much less memory.
    devices: that share the rows of a pass, each as many as any other. accelerated: whether each is more than a core.

    It depends on nothing else, not on their order either: a run that is resumed sums in the same order, and runs
    with other seeds, whose data are the same ones shuffled, share a program.
    """
    if batch == 1 or longest < 1:
        return None
    most = PASS_POSITIONS_OF_ACCELERATOR if accelerated else PASS_POSITIONS
    return _chosen(quantiles(population).astype(np.int32).tobytes(), batch, longest, parts, devices, most)


def quantiles(lengths: np.ndarray) -> np.ndarray:
    """At most SAMPLE of the lengths (N,), in their order and evenly spread over it: what stands for all of them."""
    chosen = np.linspace(0, len(lengths) - 1, min(len(lengths), SAMPLE)).round().astype(int)
    return np.sort(lengths)[chosen]


@lru_cache(maxsize=64)
def _chosen(
    sample: bytes, batch: int, longest: int, parts: int, devices: int, positions: int
) -> PassShape | None:
    # Rows are counted by the device from here on: what a pass costs, and may hold, is what one of them has.
    lengths = np.frombuffer(sample, dtype=np.int32)
    trials = max(8, min(256, TRIALS // batch))
    batches = np.random.default_rng(0).choice(lengths, (trials, batch))
    share = -(-batch // devices)
    plain = PassShape(even_rows(share, min(-(-share // parts), most_rows(longest, positions))), longest)
    costs = {plain: WORTH * -(-share // plain.rows) * cost(plain.rows, longest)}
    for width in widths(longest):
        needed = -(-place(batches, width).rows_needed // devices)
        most = min(most_rows(width, positions), -(-int(needed.max()) // parts))
        for rows in sorted({even_rows(rows, most) for rows in np.unique(needed).tolist()}):
            if parts > 1 and rows * width > plain.rows * longest:
                continue  # as much in a pass as was to be divided
            passes = np.mean(-(-needed // rows))
            costs[PassShape(rows, width)] = float(passes) * cost(rows, width)
    best = min(costs, key=lambda shape: costs[shape])
    return None if best == PassShape(share, longest) else PassShape(best.rows * devices, best.width)


def widths(longest: int) -> range:
    """Those of a row that are tried."""
    return range(longest, 2 * longest + 1, max(1, longest // 8))


def most_rows(width: int, positions: int) -> int:
    """How many rows of this width a pass of at most so many positions has."""
    return max(1, positions // width)


def even_rows(rows: int, most: int) -> int:
    """How many rows a pass has when `rows` of them go into as few passes of at most `most` as they fit into."""
    return -(-rows // -(-rows // most))


def cost(rows: int, width: int) -> float:
    return PASS_COST + rows * width * (1 + width / WIDTH_COST)


@dataclass(frozen=True)
class Packed:
    """A chunk in passes. Step i has the passes first[i] ... first[i + 1] - 1 (first: (C + 1,)).

    slots (P, R, W): which token of its step's documents (B, T + 1) stands there: the document times
    `stride_of(T + 1)`, and the position in it; -1 where there is none.
    """

    slots: np.ndarray
    first: np.ndarray


def stride_of(span: int) -> int:
    """The power of two from `span` up: told apart by it, XLA needs no division, which is slow for whole numbers."""
    return 1 << (span - 1).bit_length()


def pack(lengths: np.ndarray, span: int, shape: PassShape) -> Packed:
    """Pack documents (C, B), each in a row of `span` = T + 1 tokens."""
    batch = lengths.shape[1]
    placement = place(lengths, shape.width)
    passes = -(-placement.rows_needed // shape.rows)
    first = np.concatenate([[0], np.cumsum(passes)]).astype(np.int32)
    numbers = np.arange(batch, dtype=np.int32) * stride_of(span)
    slots = laid_out(placement, first * shape.rows, shape.width, lengths, numbers)
    return Packed(slots.reshape(-1, shape.rows, shape.width), first)


def laid_out(
    placement: Placement, first: np.ndarray, width: int, lengths: np.ndarray, numbers: np.ndarray
) -> np.ndarray:
    """(rows, width) the documents' tokens at their places, counted on from each one's number (C, B); -1 for none.

    first: (C + 1,) the rows of each step begin there; the last says how many rows there are.
    """
    slots = np.full((int(first[-1]), width), -1, dtype=numbers.dtype)
    # Where a document's first token goes in `slots`, flattened; the rest of it follows.
    starts = (first[:-1, None] + placement.row) * width + placement.column
    offsets = np.arange(int(lengths.max(initial=0)), dtype=numbers.dtype)
    kept = offsets < lengths[..., None]
    source = np.broadcast_to(numbers[..., None] + offsets, kept.shape)
    slots.reshape(-1)[(starts[..., None] + offsets)[kept]] = source[kept]
    return slots
