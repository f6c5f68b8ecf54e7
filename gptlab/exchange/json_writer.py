"""Weights to a JSON file that other programs read: the six sizes, and every number in the order of `params`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gptlab import strict_json

BLOCK = 1 << 16  # numbers turned into text at a time


def write_json_weights(path: Path, sizes: Mapping[str, int], weights: Mapping[str, np.ndarray]) -> None:
    """Write `{"config": ..., "weights": [...]}`; weights: finite, in the order of `params`.

    Each number has as many digits as tell its float64 from all others, 17 at most; of a float32 it is the
    float64 that equals it. Raises OSError.
    """
    with path.open("w", encoding="ascii") as file:
        file.write(f'{{"config": {strict_json.dumps(dict(sizes))}, "weights": [')
        separator = ""
        for array in weights.values():
            numbers = array.reshape(-1)
            for first in range(0, len(numbers), BLOCK):
                block = numbers[first : first + BLOCK].astype(np.float64).tolist()
                file.write(separator + ", ".join(map(repr, block)))
                separator = ",\n"
        file.write("]}\n")
