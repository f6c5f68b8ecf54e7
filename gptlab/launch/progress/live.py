"""Progress on a terminal: a panel that is redrawn in place, or one line where there is little room."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gptlab.launch.progress.curve import ASCII, BLOCKS, Curve, sparkline
from gptlab.launch.progress.echo import set_echo
from gptlab.launch.progress.plain import Pace, Progress, first_metric, rate
from gptlab.streams import visible
from gptlab.training.metric_rows import loss_text
from gptlab.training.named_metrics import VAL, further_sets, metrics_in, told, word_for
from gptlab.training.smoothing import SMOOTHED

ROOM = (64, 12)  # columns and lines of a terminal that has room for the panel
MOST = 100  # columns of the panel
REDRAWN = 4  # times a second


class LivePanel(Progress):
    """Step, bar and time left; loss (smoothed) with its curve, validation loss, tokens/s; the metric that was asked
    for first, with its curve; the latest sample.

    It is drawn for the terminal's size at that moment, and gone once it is closed: notes stay. What is typed
    meanwhile is not shown: an Enter would move the cursor away from where the panel is looked for.
    """

    def __init__(self, console: Console, total: int, start: int = 0):
        self._console = console
        self._total = total
        self._step = start
        self._losses = Curve()
        self._smoothed = math.nan
        self._logged = start  # the last step whose loss is in the curve
        self._validation: tuple[int, float] | None = None
        self._metric, self._shares = "", Curve()  # the first metric, and its validation values
        self._metric_of: dict[str, float] = {}  # its latest values by set of documents
        self._sample = ""
        self._rate = math.nan
        self._pace = Pace(total, start)
        self._silenced = False  # whether the terminal had shown what is typed
        self._live = Live(
            console=console, transient=True, refresh_per_second=REDRAWN, get_renderable=self.picture
        )
        self._live.start(refresh=True)

    def logged(self, step: int, metrics: Mapping[str, float], samples: Sequence[str]) -> None:
        if SMOOTHED in metrics:
            self._show(metrics[SMOOTHED])
            self._logged = step
        if "val/loss" in metrics:
            self._validation = (step, metrics["val/loss"])
        if named := metrics_in(metrics):
            self._metric = named[0]
            self._metric_of = told(metrics, named[0], further_sets(metrics))
            self._shares.add(self._metric_of[VAL])
        self._sample = next((text for text in samples if text), self._sample)

    def update(self, step: int, loss: float, tokens_per_second: float, seconds: float) -> None:
        if step > self._logged:
            self._show(loss)
        self._step, self._rate = step, tokens_per_second
        self._pace.add(step, seconds)

    def note(self, text: str) -> None:
        self._console.print(self._writable(visible(text)), markup=False, soft_wrap=True)

    def close(self) -> None:
        try:
            self._live.stop()
        finally:
            if self._silenced:
                set_echo(self._console.file, on=True)

    def picture(self) -> RenderableType:
        """What is on the terminal now; the thread that redraws asks for it.

        The cursor stands on a line of its own below: the `^C` that a terminal shows at Ctrl-C would go on in
        the next line where there is no room for it, and what is drawn would be looked for a line too low.
        """
        # Each time: a shell that brings a stopped command back to the foreground gives it its own modes.
        self._silenced |= set_echo(self._console.file, on=False)
        width, height = self._console.size
        if width < ROOM[0] or height < ROOM[1]:
            return Group(self._line(), "") if height > 1 else self._line()
        return Group(self._panel(min(width, MOST)), "")

    def _panel(self, width: int) -> Panel:
        inner = width - 4
        grid = Table.grid(padding=(0, 2, 0, 0))
        done = Text(f"step {self._step:,}/{self._total:,}")
        left = Text(self._left())
        room = max(10, inner - done.cell_len - left.cell_len - 4)
        grid.add_row(done, ProgressBar(total=self._total, completed=self._step, width=room), left)

        numbers = [f"smoothed loss {self._loss()}", self._validation_loss(), rate(self._rate)]
        lines = [self._with_curve("  ".join(filter(None, numbers)), self._losses, inner)]
        if self._metric:
            values = [f"{word_for(name)} {loss_text(value)}" for name, value in self._metric_of.items()]
            lines.append(self._with_curve("  ".join([self._metric, *values]), self._shares, inner))
        sample = Text(self._writable(self._sample).replace("\n", " "), style="italic")
        rows = Table.grid()
        rows.add_row(grid)
        for text in (*lines, sample):
            text.no_wrap, text.overflow = True, "ellipsis"
            rows.add_row(text)
        return Panel(rows, width=width, border_style="dim")

    def _line(self) -> Text:
        parts = [f"{self._step:,}/{self._total:,}", f"loss {self._loss()}", self._left()]
        parts += [self._validation_loss(), first_metric(self._metric, self._metric_of), rate(self._rate)]
        return Text("  ".join(filter(None, parts)), no_wrap=True, overflow="ellipsis")

    def _show(self, smoothed: float) -> None:
        self._losses.add(smoothed)
        self._smoothed = smoothed

    def _loss(self) -> str:
        return "compiling" if math.isnan(self._smoothed) else loss_text(self._smoothed)

    def _validation_loss(self) -> str:
        return "" if self._validation is None else f"validation {loss_text(self._validation[1])}"

    def _with_curve(self, numbers: str, curve: Curve, width: int) -> Text:
        """Numbers, and the curve in what room they leave of so many columns."""
        words = Text(numbers, style="bold")
        blocks = BLOCKS if self._console.encoding.startswith("utf") else ASCII
        # The list is replaced as it grows; this one does not change under the drawing.
        drawn = sparkline(list(curve.means), width - words.cell_len - 2, blocks)
        return Text.assemble(words, "  ", (drawn, "cyan"))

    def _left(self) -> str:
        """The time left at the speed of the last chunks; nothing before it is known."""
        seconds = self._pace.left()
        return "" if math.isnan(seconds) else f"{duration(seconds)} left"

    def _writable(self, text: str) -> str:
        """What the terminal has letters for; a sample must not move its cursor."""
        encoding = self._console.encoding
        shown = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
        return shown.encode(encoding, "replace").decode(encoding)


def duration(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
