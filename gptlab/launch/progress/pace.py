"""The time that is left, by what the last steps took."""

from __future__ import annotations

import math
import time
from collections import deque

REMEMBERED = 50  # chunks that the time left is judged by


class Pace:
    """Of `total` steps. Known once a chunk has been measured whose programs were compiled before."""

    def __init__(self, total: int, start: int = 0):
        self._total = total
        self._step = start
        self._chunks: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)  # steps, and seconds for each
        self._ended = math.nan

    def add(self, step: int, seconds: float) -> None:
        """A chunk has ended at `step`, and each of its steps has taken so many seconds; nan if nobody knows."""
        if not math.isnan(seconds):
            self._chunks.append((step - self._step, seconds))
        self._step, self._ended = step, time.monotonic()

    def left(self) -> float:
        """Seconds from now on; nan before they are known."""
        chunks = list(self._chunks)  # the thread that redraws asks while more are added
        steps = sum(count for count, _ in chunks)
        if not steps:
            return math.nan
        a_step = sum(count * seconds for count, seconds in chunks) / steps
        return max(0.0, a_step * (self._total - self._step) - (time.monotonic() - self._ended))
