"""An inspection as a notebook shows it: a row a position, what came there and what was expected instead."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from gptlab.inspection.inspection import Inspection
from gptlab.inspection.table import percent, word
from gptlab.training.metric_rows import loss_text

CANDIDATES = 4
LEFT, RIGHT = "text-align:left;padding:1px 12px 1px 0", "text-align:right;padding:1px 12px 1px 0"
BAR = "display:inline-block;height:.7em;background:currentColor;opacity:.35"
WIDTH = 6  # em, of the bar of the largest loss
FAINT = "opacity:.6"


def inspection_html(inspection: Inspection) -> str:
    """Takes the page's own colours."""
    heads = (("after", LEFT), ("came", LEFT), ("probability", RIGHT), ("loss", LEFT), ("expected", LEFT))
    heading = "".join(f'<th style="{style}">{name}</th>' for name, style in heads)
    rows = "".join(row(inspection, t) for t in range(len(inspection.tokens)))
    mean = f"mean loss {loss_text(inspection.loss)} nats a token"
    notes = "<br>".join(map(escape, (mean, *inspection.notes)))
    return (
        f'<div><table style="border-collapse:collapse"><thead><tr>{heading}</tr></thead>'
        f"<tbody>{rows}</tbody></table><p>{notes}</p></div>"
    )


def row(inspection: Inspection, t: int) -> str:
    loss = float(inspection.losses[t])
    highest = float(np.nanmax(inspection.losses, initial=1e-9))
    share = loss / highest if math.isfinite(loss) else 0.0
    target = inspection.targets[t]
    cells = (
        (shown(inspection.tokens[t]), LEFT),
        (shown(target), LEFT),
        (percent(math.exp(-loss)), RIGHT),
        (f'<span style="{BAR};width:{WIDTH * share:.2f}em"></span> {loss_text(loss)}', LEFT),
        (candidates(inspection.probabilities[t], inspection.vocabulary, target), LEFT),
    )
    return "<tr>" + "".join(f'<td style="{style}">{cell}</td>' for cell, style in cells) + "</tr>"


def candidates(probabilities: np.ndarray, vocabulary: list[str], target: str) -> str:
    """The likeliest tokens with their probabilities; the one that came is bold."""
    best = np.argsort(-probabilities, kind="stable")[:CANDIDATES]
    parts = []
    for i in best:
        name = shown(vocabulary[i])
        name = f"<b>{name}</b>" if vocabulary[i] == target else name
        parts.append(f'{name} <span style="{FAINT}">{escape(percent(float(probabilities[i])))}</span>')
    return "&ensp;".join(parts)


def shown(token: str) -> str:
    return escape(word(token).plain)
