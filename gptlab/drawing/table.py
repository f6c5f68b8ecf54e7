"""Tables as gptlab prints them: a line below the headers, no frame, numbers to the right."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Collection, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPED = 200  # columns where the output is no terminal's
GAP = 2  # between two columns
NARROW, WIDEST = 24, 10_000


def console_here(piped: int = PIPED) -> Console:
    """As wide as the terminal; `piped` columns where there is none."""
    from gptlab.drawing.console import VisibleConsole

    return VisibleConsole(width=None if sys.stdout.isatty() else piped, highlight=False, markup=False)


def new_table(headers: Sequence[str], left: Collection[int] = (0,), **how: Any) -> Table:
    """Without rows yet. left: the columns that are not set to the right. how: as rich's Table takes it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, **how)
    for i, header in enumerate(headers):
        table.add_column(Text(header), justify="left" if i in left else "right", overflow="fold")
    return table


def aligned(headers: list[str], rows: list[list[str]], left: Collection[int], section: int = 0) -> str:
    """Columns of text; words go below each other where a terminal is too narrow, and are never broken.

    left: the columns that are not set to the right. section: the row above which there is a gap.
    """
    from rich.console import Console
    from rich.text import Text

    natural = sum(max(map(len, column)) + GAP for column in zip(headers, *rows, strict=True)) - GAP
    if sys.stdout.isatty() and natural > shutil.get_terminal_size().columns:
        headers = ["\n".join(header.split()) for header in headers]
        rows = [
            ["\n".join(wrap(cell, NARROW)) if i in left else cell for i, cell in enumerate(row)]
            for row in rows
        ]
    table = new_table(headers, left, collapse_padding=True)
    for i, row in enumerate(rows, start=1):
        table.add_row(*(Text(cell) for cell in row), end_section=i == section)
    console = Console(file=io.StringIO(), width=WIDEST, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return unpadded(captured.get())


def unpadded(text: str) -> str:
    """Without spaces at the ends of lines, and without empty lines before and behind."""
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
