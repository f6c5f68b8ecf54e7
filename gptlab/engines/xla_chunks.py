"""How many steps or documents one compiled call of the xla engine takes, and their arrays, filled up to that."""

from __future__ import annotations

import numpy as np

from gptlab.engines.engine import Batches
from gptlab.engines.held_out_rows import Rows, shared_rows
from gptlab.engines.packing import PassShape, pack

CHUNK_NUMBERS = 1 << 20  # tokens that one compiled call takes at most: 4 MiB
CHUNK_NUMBERS_TOGETHER = 16 * CHUNK_NUMBERS  # and one for many jobs
CHUNK_STEPS = 1024
EVALUATION_ROWS = 64


def capacity_of(batches: Batches, jobs: int = 1) -> int:
    """How many steps one compiled call takes at most, for so many jobs."""
    _, batch, span = batches.tokens.shape
    most = min(CHUNK_NUMBERS, CHUNK_NUMBERS_TOGETHER // jobs)
    return max(1, min(CHUNK_STEPS, most // (batch * span)))


def parts_of(batches: Batches, jobs: int = 1) -> list[slice]:
    """The steps of each compiled call."""
    steps, capacity = len(batches.tokens), capacity_of(batches, jobs)
    return [slice(start, min(start + capacity, steps)) for start in range(0, steps, capacity)]


def packed(lengths: np.ndarray, span: int, shape: PassShape, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    """The slots and first passes of a chunk, filled up to what the program was compiled for."""
    result = pack(lengths, span, shape)
    passes = capacity * -(-lengths.shape[1] // shape.rows)  # as many as there can be
    first = padded(result.first, capacity + 1, result.first[-1])
    return padded(result.slots, passes, -1), first


def rows_at_once(tokens: np.ndarray) -> int:
    """Documents (N, T+1) with rows of their own that an evaluation takes at a time."""
    # Fewer of the long ones: what attention holds grows with the square of the length.
    return max(1, EVALUATION_ROWS // max(1, tokens.shape[1] // EVALUATION_ROWS) ** 2)


def laid_out_rows(tokens: np.ndarray, lengths: np.ndarray, devices: int = 1) -> Rows:
    """Documents (N, T+1) in rows that they share where that pays, else a row each; see `spread_rows`."""
    span = tokens.shape[1] - 1
    shared = shared_rows(lengths, span)
    if shared is not None:
        return spread_rows(shared, devices)
    at_once = rows_at_once(tokens)
    held = padded(lengths, -(-len(tokens) // at_once) * at_once)
    positions = np.broadcast_to(np.arange(span, dtype=np.int32), (len(held), span))
    used = positions < held[:, None]
    documents = np.where(used, np.arange(len(held), dtype=np.int32)[:, None], -1)
    shape = (-1, at_once, span)
    return spread_rows(Rows(documents.reshape(shape), np.where(used, positions, 0).reshape(shape)), devices)


def spread_rows(rows: Rows, devices: int) -> Rows:
    """As many passes (P, R, W) at once as there are devices to take one each: (P / devices, R * devices, W)."""
    passes, height, width = rows.documents.shape
    whole, shape = -(-passes // devices) * devices, (-1, height * devices, width)
    return Rows(
        padded(rows.documents, whole, -1).reshape(shape), padded(rows.positions, whole).reshape(shape)
    )


def padded(array: np.ndarray, length: int, value: float = 0) -> np.ndarray:
    """The array with its first axis filled up to `length`."""
    missing = length - len(array)
    widths = [(0, missing)] + [(0, 0)] * (array.ndim - 1)
    return np.pad(array, widths, constant_values=value) if missing else array
