"""What a person sees while training: a live panel on a terminal, sparse plain lines elsewhere, or nothing."""

from __future__ import annotations

import sys

from gptlab.launch.progress.plain import NamedLines, PlainLines, Progress

__all__ = ["NamedLines", "PlainLines", "Progress", "make_progress"]


def make_progress(kind: str, total: int, start: int = 0, beside: str = "") -> Progress:
    """`auto` or `none`, as `progress=` says, of `total` steps of which `start` are done.

    beside: the name of a run that others of this process go on beside.
    """
    if kind == "none":
        return Progress()
    if beside:
        return NamedLines(beside, total, start=start)
    if not sys.stdout.isatty():
        return PlainLines(total, start=start)
    from rich.console import Console

    from gptlab.launch.progress.live import LivePanel

    console = Console(highlight=False)
    # One that cannot move its cursor would show each state of the panel below the last.
    return LivePanel(console, total, start) if console.is_interactive else PlainLines(total, start=start)
