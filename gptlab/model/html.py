"""A model as a notebook shows it: its components, and its matrices with their share of all numbers."""

from __future__ import annotations

import dataclasses
from html import escape
from itertools import groupby

from gptlab.model.gpt import GPT
from gptlab.model.scoped import part_of_weight

KINDS = ("attention", "mlp", "norm", "activation", "position", "block")
LEFT, RIGHT = "text-align:left;padding:1px 12px 1px 0", "text-align:right;padding:1px 12px 1px 0"
BAR = "display:inline-block;height:.7em;background:currentColor;opacity:.35"
WIDTH = 8  # em, of a bar that stands for all


def model_html(definition: GPT, title: str) -> str:
    """A heading, the components by kind, and a table with a row a matrix; takes the page's own colours."""
    matrices = definition.matrices()
    total = sum(matrix.count for matrix in matrices)
    components = ", ".join(f"{kind} <b>{escape(described(getattr(definition, kind)))}</b>" for kind in KINDS)
    rows = []
    for part, group in groupby(matrices, lambda matrix: part_of_weight(matrix.name)):
        own = list(group)
        rows.append(row(part, "", sum(matrix.count for matrix in own), total, heading=True))
        rows += [
            row(m.name.removeprefix(f"{part}."), " × ".join(map(str, m.shape)), m.count, total) for m in own
        ]
    heads = "".join(
        f'<th style="{style}">{text}</th>'
        for text, style in (("part", LEFT), ("shape", RIGHT), ("parameters", RIGHT), ("share", LEFT))
    )
    return (
        f"<div><p><code>{escape(title)}</code><br>{components}</p>"
        f'<table style="border-collapse:collapse"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}{row('total', '', total, total, heading=True)}</tbody></table></div>"
    )


def described(component: object) -> str:
    """Its class, and those of its fields that are not as they are by default."""
    if not dataclasses.is_dataclass(component):
        return type(component).__name__
    changed = [
        f"{field.name}={getattr(component, field.name)!r}"
        for field in dataclasses.fields(component)
        if getattr(component, field.name) != field.default
    ]
    return type(component).__name__ + (f"({', '.join(changed)})" if changed else "")


def row(name: str, shape: str, count: int, total: int, heading: bool = False) -> str:
    share = count / max(1, total)
    tag, indent = ("th", "") if heading else ("td", ";padding-left:1.5em")
    bar = f'<span style="{BAR};width:{WIDTH * share:.2f}em"></span> {share:.1%}'
    cells = ((escape(name), LEFT + indent), (shape, RIGHT), (f"{count:,}", RIGHT), (bar, LEFT))
    return "<tr>" + "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell, style in cells) + "</tr>"
