"""Progress where nothing can be redrawn: a line now and then, or silence."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence

from gptlab.streams import show
from gptlab.training.metric_rows import loss_text
from gptlab.training.named_metrics import VAL, metrics_in, told


class Progress:
    """What a person sees of a run; of progress=none, nothing."""

    def logged(self, step: int, metrics: Mapping[str, float], samples: Sequence[str]) -> None:
        """A logged step's numbers, in order; of an evaluation with val/loss, and what was sampled then."""

    def update(self, step: int, loss: float, tokens_per_second: float, seconds: float) -> None:
        """How far it has come, after each chunk of steps: the smoothed training loss, and what a step of it took.

        seconds: nan if nobody knows.
        """

    def note(self, text: str) -> None:
        """A line that stays."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class PlainLines(Progress):
    """For a file, a pipe, or a terminal that cannot redraw: at most one line each ten seconds, and the notes."""

    def __init__(self, total: int, interval: float = 10.0, start: int = 0):
        self._total = total
        self._pace = Pace(total, start)
        self._interval = interval
        self._last = time.monotonic()
        self._metric = ""

    def logged(self, step: int, metrics: Mapping[str, float], samples: Sequence[str]) -> None:
        if named := metrics_in(metrics):
            self._metric = first_metric(named[0], told(metrics, named[0]))

    def update(self, step: int, loss: float, tokens_per_second: float, seconds: float) -> None:
        self._pace.add(step, seconds)
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            left = self._pace.left()
            shown = f"smoothed loss {loss_text(loss)}"
            words = [f"step {step}/{self._total}", shown, self._metric, rate(tokens_per_second)]
            words += [] if math.isnan(left) else [f"{left:.0f} s left"]
            self._show("  ".join(filter(None, words)))

    def note(self, text: str) -> None:
        self._show(text)

    def _show(self, text: str) -> None:
        show(text)


class NamedLines(PlainLines):
    """For a run beside others: its name in front of each line, and no notes, which would be many."""

    def __init__(self, name: str, total: int, interval: float = 10.0, start: int = 0):
        super().__init__(total, interval, start)
        self._name = name

    def note(self, text: str) -> None:
        """Nothing."""

    def _show(self, text: str) -> None:
        show(f"{self._name}: {text}")


def first_metric(name: str, values: Mapping[str, float]) -> str:
    """Of the latest evaluation; nothing before there is one."""
    return f"{name} {loss_text(values[VAL])}" if VAL in values else ""


def rate(tokens_per_second: float) -> str:
    return "" if math.isnan(tokens_per_second) else f"{tokens_per_second:,.0f} tokens/s"


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
