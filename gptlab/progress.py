"""What a person sees while training: one live line on a terminal, sparse plain lines otherwise."""

from __future__ import annotations

import math
import sys
import time
from typing import Protocol


class Progress(Protocol):
    def update(self, step: int, loss: float, tokens_per_second: float) -> None: ...

    def note(self, text: str) -> None:
        """A line that stays."""
        ...

    def close(self) -> None: ...


class Silence:
    """progress=none."""

    def update(self, step: int, loss: float, tokens_per_second: float) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class PlainLines:
    """For a file or a pipe: a line now and then, at most one each ten seconds."""

    def __init__(self, total: int, interval: float = 10.0, start: int = 0):
        self._total = total
        self._start = start
        self._interval = interval
        self._began = self._last = time.monotonic()

    def update(self, step: int, loss: float, tokens_per_second: float) -> None:
        now = time.monotonic()
        if now - self._last >= self._interval:
            self._last = now
            left = (now - self._began) / (step - self._start) * (self._total - step)
            print(
                f"step {step}/{self._total}  loss {loss:.3f}  {rate(tokens_per_second)}  {left:.0f} s left",
                flush=True,
            )

    def note(self, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass


class LiveLine:
    """For a terminal: step, loss (smoothed), tokens a second and time left in one line that is redrawn."""

    def __init__(self, total: int, start: int = 0):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("loss {task.fields[loss]}  {task.fields[rate]} "),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=Console(),
            transient=True,
        )
        self._task = self._bar.add_task("train", total=total, completed=start, loss="compiling", rate="")
        self._smooth = math.nan
        self._bar.start()

    def update(self, step: int, loss: float, tokens_per_second: float) -> None:
        self._smooth = loss if math.isnan(self._smooth) else 0.7 * self._smooth + 0.3 * loss
        self._bar.update(self._task, completed=step, loss=f"{self._smooth:.3f}", rate=rate(tokens_per_second))

    def note(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._bar.stop()


def rate(tokens_per_second: float) -> str:
    return "" if math.isnan(tokens_per_second) else f"{tokens_per_second:,.0f} tokens/s"


def make_progress(kind: str, total: int, start: int = 0) -> Progress:
    """`auto` or `none`, as `progress=` says, of `total` steps of which `start` are done."""
    if kind == "none":
        return Silence()
    return LiveLine(total, start) if sys.stdout.isatty() else PlainLines(total, start=start)
