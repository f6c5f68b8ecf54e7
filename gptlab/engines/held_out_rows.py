"""Held-out documents in rows that they share, as those of a training step do; of all of them at once.

Legend: N documents, T positions of the longest, P passes, R rows of a pass, W width.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from gptlab.engines.packing import WORTH, cost, place, widths

TOGETHER = 128  # documents that are placed into rows of their own
POSITIONS = 1024  # of a pass, of a row at least


def shared_rows(lengths: np.ndarray, longest: int) -> np.ndarray | None:
    """(P, R, W) what stands where, for documents of these lengths (N,), none longer than `longest` = T.

    A document times T, and the position in it; -1 where nothing stands. None where sharing rows does not pay.
    It depends on the lengths alone: each evaluation of a run sums in the same order.
    """
    if len(lengths) < 2 or longest < 2:
        return None
    return _shared_rows(lengths.astype(np.int32).tobytes(), longest)


@lru_cache(maxsize=8)
def _shared_rows(encoded: bytes, longest: int) -> np.ndarray | None:
    lengths = np.frombuffer(encoded, dtype=np.int32)
    groups = -(-len(lengths) // TOGETHER)
    # The longest first, dealt out to the groups in turn: each gets long ones, and short ones that fill their rows.
    dealt = np.full(groups * TOGETHER, -1)
    dealt[: len(lengths)] = np.argsort(-lengths, kind="stable")
    documents = dealt.reshape(TOGETHER, groups).T
    grouped = np.where(documents >= 0, lengths[documents], 0)
    placed = {width: place(grouped, width) for width in widths(longest)}
    costs = {w: cost_of_row(w) * int(placement.rows_needed.sum()) for w, placement in placed.items()}
    width = min(costs, key=lambda w: costs[w])
    if costs[width] >= WORTH * len(lengths) * cost_of_row(longest):
        return None
    placement, rows = placed[width], max(1, POSITIONS // width)
    first = np.concatenate([[0], np.cumsum(placement.rows_needed)])
    starts = (first[:-1, None] + placement.row) * width + placement.column
    offsets = np.arange(longest)
    kept = offsets < grouped[..., None]
    found = np.full(-(-int(first[-1]) // rows) * rows * width, -1)
    found[(starts[..., None] + offsets)[kept]] = (documents[..., None] * longest + offsets)[kept]
    found.flags.writeable = False
    return found.reshape(-1, rows, width)


def cost_of_row(width: int) -> float:
    return cost(1, width) - cost(0, width)
