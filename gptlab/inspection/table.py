"""An inspection in the terminal: a row a position, what came there and what was expected instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gptlab.drawing.table import console_here, new_table, unpadded
from gptlab.inspection.inspection import BOS, Inspection
from gptlab.training.metric_rows import loss_text

if TYPE_CHECKING:
    from rich.text import Text

PIPED = 160  # columns where the output is no terminal's
UNBROKEN = "\ue000"  # for a space at which no line is to be broken: rich breaks at every kind of them
WIDTHS = (5, 5, None, None, 8)  # that a column takes at least; numbers are never broken


def table(inspection: Inspection, count: int, title: str) -> str:
    """The text's losses and, at each position, the `count` likeliest tokens; coloured on a terminal."""
    from rich.text import Text

    console = console_here(PIPED)
    rows = new_table(["after", "came", "probability", "loss", "expected"], left=(0, 1, 4))
    for column, width in zip(rows.columns, WIDTHS, strict=True):
        column.min_width, column.no_wrap = width, width is None
    for t, (token, target) in enumerate(zip(inspection.tokens, inspection.targets, strict=True)):
        loss = float(inspection.losses[t])
        rows.add_row(
            word(token),
            word(target),
            percent(math.exp(-loss)),
            Text(loss_text(loss), style="red" if loss > 2 * inspection.loss else ""),
            candidates(inspection, t, count),
        )
    with console.capture() as shown:
        console.print(Text(title, style="bold"), soft_wrap=True)
        console.print()
        console.print(rows)
        console.print()
        mean = inspection.loss
        perplexity = f"perplexity {math.exp(mean):.1f}" if mean < 700 else "beyond all perplexity"
        console.print(f"mean loss {loss_text(mean)} nats a token ({perplexity})")
        for note in inspection.notes:
            console.print(note)
    return unpadded(shown.get().replace(UNBROKEN, " "))


def candidates(inspection: Inspection, t: int, count: int) -> Text:
    """The likeliest tokens at a position with their probabilities; the one that came stands out."""
    from rich.text import Text

    row = inspection.probabilities[t]
    best = np.argsort(-row, kind="stable")[:count]
    parts = []
    for i in best:
        name = inspection.vocabulary[i]
        came = name == inspection.targets[t]
        one = word(name)
        if came:
            one.stylize("bold green")
        parts.append(Text.assemble(one, UNBROKEN, Text(percent(float(row[i])), style="dim")))
    return Text("  ").join(parts)


def word(token: str) -> Text:
    """A token so that it can be seen: spaces and line ends in quotes, the mark of a document's ends dimmed."""
    from rich.text import Text

    if token == BOS:
        return Text(token, style="dim")
    return Text(token if token.strip() == token and token.isprintable() and token else repr(token))


def percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"
