"""Which tokens count by the data, written into the tokens: one array of them goes through rows, passes and chunks.

Legend: N documents, T predictions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from gptlab.engines.context import Context

MARK = 1 << 30  # added to a token that does not count where it is to be predicted; ids lie below


class Markable(Protocol):
    @property
    def marked(self) -> bool:
        """Whether the tokens that it is trained and judged on may be marked."""
        ...


def marked(tokens: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """tokens (N, T+1), of which those do not count whose counts (N, T) are False."""
    found = tokens.astype(np.int32)
    found[:, 1:] |= np.where(counts, 0, MARK).astype(np.int32)
    return found


def unmarked(tokens: np.ndarray) -> np.ndarray:
    """The ids alone."""
    return tokens & (MARK - 1)


def told(definition: Markable, tokens: Any, targets: Any, context: Context) -> tuple[Any, Any, Context]:
    """The ids of both, and the context that knows which of the targets count."""
    if not definition.marked:
        return tokens, targets, context
    return tokens & (MARK - 1), targets & (MARK - 1), replace(context, counts=(targets & MARK) == 0)
