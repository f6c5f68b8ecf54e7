"""A console on which no text moves the cursor."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from gptlab.streams import visible


class VisibleConsole(Console):
    """rich's, with what is drawn `visible` on a terminal: rich itself leaves escape codes in texts as they are."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if self.is_terminal and not segment.control:
                segment = Segment(visible(segment.text), segment.style)
            yield segment
