"""An inspection as a table, in the terminal or a notebook: a row a position, what came and what was expected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
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

    parts = []
    for token, share, came in likeliest(inspection, t, count):
        one = word(token)
        if came:
            one.stylize("bold green")
        parts.append(Text.assemble(one, UNBROKEN, Text(share, style="dim")))
    return Text("  ").join(parts)


def likeliest(inspection: Inspection, t: int, count: int) -> Iterator[tuple[str, str, bool]]:
    """Tokens at a position, best first, each with its probability and whether it is the one that came."""
    shares = inspection.probabilities[t]
    for i in np.argsort(-shares, kind="stable")[:count]:
        token = inspection.vocabulary[i]
        yield token, percent(float(shares[i])), token == inspection.targets[t]


def word(token: str) -> Text:
    """A token so that it can be seen: spaces and line ends in quotes, the mark of a document's ends dimmed."""
    from rich.text import Text

    if token == BOS:
        return Text(token, style="dim")
    return Text(token if token.strip() == token and token.isprintable() and token else repr(token))


def percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 else "<0.1%"


CANDIDATES = 4
LEFT, RIGHT = "text-align:left;padding:1px 12px 1px 0", "text-align:right;padding:1px 12px 1px 0"
BAR = "display:inline-block;height:.7em;background:currentColor;opacity:.35"
WIDTH = 6  # em, of the bar of the largest loss
FAINT = "opacity:.6"


def inspection_html(inspection: Inspection) -> str:
    """As a notebook shows it, in the page's own colours."""
    heads = (("after", LEFT), ("came", LEFT), ("probability", RIGHT), ("loss", LEFT), ("expected", LEFT))
    heading = "".join(f'<th style="{style}">{name}</th>' for name, style in heads)
    rows = "".join(html_row(inspection, t) for t in range(len(inspection.tokens)))
    mean = f"mean loss {loss_text(inspection.loss)} nats a token"
    notes = "<br>".join(map(escape, (mean, *inspection.notes)))
    return (
        f'<div><table style="border-collapse:collapse"><thead><tr>{heading}</tr></thead>'
        f"<tbody>{rows}</tbody></table><p>{notes}</p></div>"
    )


def html_row(inspection: Inspection, t: int) -> str:
    loss = float(inspection.losses[t])
    highest = float(np.nanmax(inspection.losses, initial=1e-9))
    share = loss / highest if math.isfinite(loss) else 0.0
    expected = []
    for token, probability, came in likeliest(inspection, t, CANDIDATES):
        name = f"<b>{shown(token)}</b>" if came else shown(token)
        expected.append(f'{name} <span style="{FAINT}">{escape(probability)}</span>')
    cells = (
        (shown(inspection.tokens[t]), LEFT),
        (shown(inspection.targets[t]), LEFT),
        (percent(math.exp(-loss)), RIGHT),
        (f'<span style="{BAR};width:{WIDTH * share:.2f}em"></span> {loss_text(loss)}', LEFT),
        ("&ensp;".join(expected), LEFT),
    )
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell, style in cells) + "</tr>"


def shown(token: str) -> str:
    return escape(word(token).plain)
