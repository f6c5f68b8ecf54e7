"""Held-out documents in rows that they share, as those of a training step do; of all of them at once.

Legend: N documents, T positions of the longest, P passes, R rows of a pass, W width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gptlab.engines.packing import WORTH, cost, laid_out, place, widths

TOGETHER = 128  # documents that are placed into rows of their own
POSITIONS = 1024  # of a pass, of a row at least
LARGEST = (
    1 << 22
)  # places for tokens; to lay out more would take as much memory as the documents several times over


class Rows(NamedTuple):
    """What stands where, (P, R, W) each: which document, -1 for none, and its position in it."""

    documents: np.ndarray
    positions: np.ndarray


def shared_rows(lengths: np.ndarray, longest: int) -> Rows | None:
    """The rows of documents of these lengths (N,), none longer than `longest` = T; None where sharing does not pay.

    They depend on the lengths alone: each evaluation of a run sums in the same order.
    """
    if len(lengths) < 2 or longest < 2 or len(lengths) * longest > LARGEST:
        return None
    return _shared_rows(lengths.astype(np.int32).tobytes(), longest)


@lru_cache(maxsize=4)
def _shared_rows(encoded: bytes, longest: int) -> Rows | None:
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
    first = np.concatenate([[0], np.cumsum(placed[width].rows_needed)])
    slots = laid_out(placed[width], first, width, grouped, documents * longest)
    rows = max(1, POSITIONS // width)
    missing = np.full((-len(slots) % rows, width), -1)
    slots = np.concatenate([slots, missing]).reshape(-1, rows, width)
    which, where = np.divmod(slots, longest)  # of -1 the first is -1
    found = Rows(which.astype(np.int32), np.where(which >= 0, where, 0).astype(np.int32))
    for array in found:
        array.flags.writeable = False
    return found


def cost_of_row(width: int) -> float:
    return cost(1, width) - cost(0, width)
