"""What a person sees of long readings: nothing for the first seconds, then how far it has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gptlab.data.reading import unwatched
from gptlab.streams import show, visible

QUIET = 2.0  # seconds of a reading that need no word
INTERVAL = 10.0  # seconds between two plain lines


class Watch:
    """Hears of readings and says nothing: progress=none."""

    def begin(self, what: str, total: int) -> None:
        """What is done, and how many bytes it goes through; 0 if nobody knows."""

    def advance(self, count: int) -> None:
        """So many bytes more."""

    def end(self) -> None:
        pass

    def note(self, text: str) -> None:
        """A line that stays."""

    @contextmanager
    def reading(self, what: str, texts: Any) -> Iterator[None]:
        """While `texts` are gone through once: told by their `advance`, if they have one."""
        watched = hasattr(texts, "advance")
        self.begin(what, texts.size if watched else 0)
        if watched:
            texts.advance = self.advance
        try:
            yield
        finally:
            if watched:
                texts.advance = unwatched
            self.end()


class PlainWatch(Watch):
    """For a file or a pipe: a line now and then, on stderr."""

    def begin(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._began = time.monotonic()
        self._next = self._began + QUIET

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now >= self._next and self._total:
            self._next = now + INTERVAL
            left = (now - self._began) * (self._total / self._done - 1)
            self.note(
                f"data: {self._what}, {self._done / self._total:.0%} of {size(self._total)}, {left:.0f} s left"
            )

    def note(self, text: str) -> None:
        show(text, sys.stderr)


class LiveWatch(PlainWatch):
    """For a terminal: one line that is redrawn, and gone at the end."""

    def __init__(self) -> None:
        self._bar: Any = None

    def advance(self, count: int) -> None:
        self._done += count
        if self._bar is None and time.monotonic() >= self._next and self._total:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("data: {task.description}"),
                DownloadColumn(),
                BarColumn(bar_width=24),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(visible(self._what), total=self._total)
            self._bar.start()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done)

    def end(self) -> None:
        if self._bar is not None:
            with suppress(OSError):  # a terminal that is gone
                self._bar.stop()
            self._bar = None


def make_watch(kind: str) -> Watch:
    """`auto` or `none`, as `progress=` says."""
    if kind == "none":
        return Watch()
    return LiveWatch() if sys.stderr.isatty() else PlainWatch()


def size(count: float) -> str:
    """Bytes as a person says them: 1.2 GB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
