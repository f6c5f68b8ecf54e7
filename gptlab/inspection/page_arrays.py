"""Arrays on their way into a page: few enough, 16 bits each, base64. Legend: see inspection.py."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

LARGEST_MAP = 256  # positions that an attention map shows one by one
NOT_FINITE = -32768
FULL = 32767
DIGITS = 6  # significant ones of a number that is written out


def number(value: Any) -> float | None:
    """With DIGITS significant digits; None for what is not finite."""
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def packed(array: np.ndarray) -> dict[str, Any]:
    """Signed 16-bit steps of `scale`, little-endian: an error of at most 1/65534 of the largest magnitude.

    The lowest step stands for what is not finite.
    """
    finite = np.isfinite(array)
    largest = float(np.abs(array[finite], dtype=np.float64).max(initial=0.0))
    scale = largest / FULL or 1.0
    steps = np.rint(np.where(finite, array, 0).astype(np.float64) / scale)
    steps = np.where(finite, steps, NOT_FINITE).astype("<i2")
    return {"scale": scale, "data": base64.b64encode(steps.tobytes()).decode("ascii")}


def packed_shares(attention: np.ndarray) -> dict[str, Any]:
    """Attention (L, H, T, T): of each map the triangle that is not 0 by causality, row by row.

    A map of more than LARGEST_MAP positions shows the largest share of each `step` by `step` of them.
    """
    layers, heads, positions, _ = attention.shape
    step = math.ceil(positions / LARGEST_MAP)
    maps = pooled(attention, step, step)
    size = maps.shape[-1]
    rows, columns = np.tril_indices(size)
    return {
        "layers": layers,
        "heads": heads,
        "positions": positions,
        "step": step,
        "size": size,
        **packed(maps[:, :, rows, columns]),
    }


def pooled(array: np.ndarray, row_step: int, column_step: int) -> np.ndarray:
    """Of each block in the last two axes the number with the largest magnitude, sign kept."""
    if row_step == column_step == 1:
        return array
    rows, columns = (math.ceil(n / s) for n, s in zip(array.shape[-2:], (row_step, column_step), strict=True))
    outer = array.shape[:-2]
    wide = np.zeros((*outer, rows * row_step, columns * column_step), array.dtype)
    wide[..., : array.shape[-2], : array.shape[-1]] = array
    blocks = wide.reshape(*outer, rows, row_step, columns, column_step)
    blocks = np.moveaxis(blocks, -3, -2).reshape(*outer, rows, columns, row_step * column_step)
    largest = np.argmax(np.abs(blocks), axis=-1)[..., None]
    found: np.ndarray = np.take_along_axis(blocks, largest, -1)[..., 0]
    return found
