"""The weights of an Inspection for its page: each matrix small enough to be drawn, and how its numbers lie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gptlab.inspection.inspection import Inspection
from gptlab.inspection.page_arrays import number, packed, pooled

PIXELS = 300_000  # on the whole page: about 0.8 MB of it
FEWEST = 4_096  # that each matrix has in any case
BINS = 41  # of a histogram: odd, so that one is around 0
SATURATED = 0.995  # share of the numbers that lie within the range of the colours


def weight_entries(inspection: Inspection) -> list[dict[str, Any]]:
    limit = max(FEWEST, PIXELS // max(1, len(inspection.weights)))
    # What small matrices leave is for the large ones.
    sizes = sorted(array.size for array in inspection.weights.values())
    left = PIXELS
    for i, size in enumerate(sizes):
        limit = max(FEWEST, left // (len(sizes) - i))
        if size > limit:
            break
        left -= size
    else:
        limit = max(sizes, default=FEWEST)
    return [
        weight_entry(name, array, inspection.weightGradientNorms.get(name, math.nan), limit)
        for name, array in inspection.weights.items()
    ]


def weight_entry(name: str, array: np.ndarray, gradient_norm: float, limit: int) -> dict[str, Any]:
    """One weight as a matrix: a vector is one row, further axes in front are joined to the rows."""
    matrix = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    row_step, column_step = steps(*matrix.shape, limit)
    shown = pooled(matrix, row_step, column_step)
    finite = array[np.isfinite(array)].astype(np.float64)
    if not finite.size:
        finite = np.zeros(1)
    magnitudes = np.abs(finite)
    # 0 in the middle of the middle bin.
    reach = float(magnitudes.max()) or 1.0
    counts, _ = np.histogram(finite, bins=BINS, range=(-reach, reach))
    return {
        "name": name,
        "shape": list(array.shape),
        "rows": shown.shape[0],
        "columns": shown.shape[1],
        "rowStep": row_step,
        "columnStep": column_step,
        **packed(shown),
        "saturated": number(np.quantile(magnitudes, SATURATED)) or number(reach),
        "reach": number(reach),
        "counts": [int(count) for count in counts],
        "notFinite": int(array.size - np.isfinite(array).sum()),
        "mean": number(finite.mean()),
        "deviation": number(finite.std()),
        "low": number(finite.min()),
        "high": number(finite.max()),
        "norm": number(np.linalg.norm(finite)),
        "gradientNorm": number(gradient_norm),
    }


def steps(rows: int, columns: int, limit: int) -> tuple[int, int]:
    """How many rows and columns make one pixel, so that there are at most `limit`; the longer side gives first."""
    row_step = column_step = 1
    while math.ceil(rows / row_step) * math.ceil(columns / column_step) > limit:
        if rows / row_step >= columns / column_step:
            row_step += 1
        else:
            column_step += 1
    return row_step, column_step
