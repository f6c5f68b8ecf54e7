"""Interventions as tables, in the terminal or a notebook. Legend: see inspection.py."""

from __future__ import annotations

from html import escape

import numpy as np
from rich.text import Text

from gptlab.drawing.table import console_here, new_table, unpadded
from gptlab.inspection.interventions import HeadEffects, Intervention
from gptlab.inspection.parts import ATTENTION, HEAD, MLP
from gptlab.inspection.table import percent, word
from gptlab.training.metric_rows import loss_text

PIPED = 160
CELL = "text-align:right;padding:1px 12px 1px 0"
Table = tuple[list[str], list[list[Text]]]  # headings and rows


def parts_text(found: Intervention) -> str:
    return f"without {', '.join(found.parts)} ({found.filled} instead)"


def intervention_table(found: Intervention, title: str = "") -> str:
    """A row a position: the loss as it is, without the parts, and the likeliest token of both."""
    lines = [
        f"mean loss {loss_text(found.losses.mean())} nats a token, {loss_text(found.lossesWithout.mean())} without: "
        f"{signed(found.effect)}"
    ]
    return drawn(
        [Text(title or f'"{found.text}"', style="bold"), Text(parts_text(found))], [words_of(found)], lines
    )


def intervention_html(found: Intervention) -> str:
    mean = f"mean loss {loss_text(found.losses.mean())}, {loss_text(found.lossesWithout.mean())} without"
    return f"<div><p>{escape(parts_text(found))}</p>{html_table(words_of(found))}<p>{escape(mean)}</p></div>"


def words_of(found: Intervention) -> Table:
    headings = ["after", "came", "loss", "without", "change", "expected", "expected without"]
    largest = max(float(np.abs(found.effects).max(initial=0.0)), 1e-9)
    rows = []
    for t, (token, target) in enumerate(zip(found.tokens, found.targets, strict=True)):
        change = float(found.effects[t])
        rows.append(
            [
                word(token),
                word(target),
                Text(loss_text(float(found.losses[t]))),
                Text(loss_text(float(found.lossesWithout[t]))),
                Text(signed(change), style=style_of(change, largest)),
                likeliest(found.vocabulary, found.probabilities[t]),
                likeliest(found.vocabulary, found.probabilitiesWithout[t]),
            ]
        )
    return headings, rows


def likeliest(vocabulary: list[str], shares: np.ndarray) -> Text:
    best = int(np.argmax(shares))
    return Text.assemble(word(vocabulary[best]), " ", Text(percent(float(shares[best])), style="dim"))


def effects_table(found: HeadEffects, title: str = "") -> str:
    """A row a layer, a column a head: what the mean loss gains without it, of the text and of held-out documents."""
    above = [Text(title, style="bold")] if title else []
    above.append(
        Text(
            f"what the mean loss gains, in nats a token, without one part at a time ({found.filled} instead)"
        )
    )
    tables = [(heading, *layers_of(found, effects)) for heading, effects in sides_of(found)]
    return drawn(above, tables, [found.note] if found.note else [])


def effects_html(found: HeadEffects) -> str:
    tables = "".join(
        f"<p>{escape(heading)}</p>{html_table(layers_of(found, effects))}"
        for heading, effects in sides_of(found)
    )
    note = f"<p>{escape(found.note)}</p>" if found.note else ""
    about = f"what the mean loss gains, in nats, without one part at a time ({found.filled} instead)"
    return f"<div><p>{escape(about)}</p>{tables}{note}</div>"


def sides_of(found: HeadEffects) -> list[tuple[str, np.ndarray]]:
    sides = []
    if found.onText is not None and found.loss is not None:
        sides.append((f'"{found.text}", mean loss {loss_text(found.loss)}', found.onText))
    if found.onHeldOut is not None and found.heldOutLoss is not None:
        about = f"{found.documents} held-out documents, mean loss {loss_text(found.heldOutLoss)}"
        sides.append((about, found.onHeldOut))
    return sides


def layers_of(found: HeadEffects, effects: np.ndarray) -> Table:
    by_name = dict(zip(found.parts, effects.tolist(), strict=True))
    layers = list(dict.fromkeys(name.rpartition(f".{name.split('.', 2)[2]}")[0] for name in by_name))
    heads = found.heads(effects).shape[1]
    columns = [f"{HEAD}.{head}" for head in range(heads)]
    columns += [kind for kind in (ATTENTION, MLP) if any(name.endswith(f".{kind}") for name in by_name)]
    largest = max(map(abs, by_name.values()), default=0.0) or 1e-9
    rows = []
    for layer in layers:
        cells = [by_name.get(f"{layer}.{column}") for column in columns]
        texts = [
            Text("" if c is None else signed(c), style="" if c is None else style_of(c, largest))
            for c in cells
        ]
        rows.append([Text(layer), *texts])
    return ["", *columns], rows


def signed(change: float) -> str:
    return f"{change:+.3f}" if abs(change) < 1000 else f"{change:+.3g}"


def style_of(change: float, largest: float) -> str:
    """What stands out: a quarter of the largest effect, and more."""
    if abs(change) < largest / 4:
        return ""
    return "red" if change > 0 else "green"


def drawn(
    above: list[Text], tables: list[Table] | list[tuple[str, list[str], list[list[Text]]]], below: list[str]
) -> str:
    console = console_here(PIPED)
    with console.capture() as shown:
        for line in above:
            console.print(line, soft_wrap=True)
        for *heading, headings, rows in tables:
            console.print()
            if heading:
                console.print(str(heading[0]), markup=False, highlight=False, soft_wrap=True)
            left = (0, 1, 5, 6) if headings[0] else (0,)
            made = new_table(list(headings), left=left)
            for row in rows:
                made.add_row(*row)
            console.print(made)
        if below:
            console.print()
        for text in below:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    return unpadded(shown.get())


def html_table(table: Table) -> str:
    """In the page's own colours; what stands out is bold."""
    headings, rows = table
    head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in headings)
    body = ""
    for row in rows:
        cells = (f"<b>{escape(c.plain)}</b>" if c.style else escape(c.plain) for c in row)
        body += "<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells) + "</tr>"
    return (
        f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
