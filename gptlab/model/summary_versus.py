"""Two models' summaries side by side."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gptlab.drawing.table import new_table
from gptlab.model.summary import Summary
from gptlab.model.summary_table import si, size

COLUMNS = ("part", "parameters", "→", "change", "forward", "→", "change", "training", "→", "change")
WIDE = 96  # columns of a terminal that these fit in
Row = tuple[int, float, float]  # parameters, forward, training


def versus_table(
    first: Summary, second: Summary, keys: Mapping[str, tuple[str, str]], width: int
) -> RenderableType:
    """What differs in the configs (`keys`), what each part then costs, and what training takes.

    Layers are added up, since the two may have different numbers of them. Where `width`, in columns, is
    too little for all, what training a part costs is left out.
    """
    columns = len(COLUMNS) if width >= WIDE else len(COLUMNS) - 3
    costs = costs_table(first, second, columns)
    return Group(config_table(keys), Text(), costs, Text(), totals_table(first, second))


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The keys of two flat configs that are not alike, with both values; a dash where one has no such key."""
    pairs = {key: (first.get(key, "-"), second.get(key, "-")) for key in merged(list(first), list(second))}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def config_table(keys: Mapping[str, tuple[str, str]]) -> RenderableType:
    if not keys:
        return Text("The configs are the same.")
    table = new_table(("config", "this", "versus"), padding=0)
    for key, values in keys.items():
        table.add_row(*map(Text, (key, *values)))
    return table


def costs_table(first: Summary, second: Summary, columns: int) -> Table:
    table = new_table(COLUMNS[:columns], padding=0)
    rows, others = by_kind(first), by_kind(second)
    for kind in merged(list(rows), list(others)):
        add_row(table, kind, rows.get(kind, (0, 0, 0)), others.get(kind, (0, 0, 0)))
    table.add_section()
    add_row(table, "total", sums(first), sums(second), style="bold")
    return table


def totals_table(first: Summary, second: Summary) -> Table:
    table = new_table(("training", "this", "versus", "change"), padding=0)
    step = (first.step, second.step)
    table.add_row(*map(Text, ("operations a step", si(step[0]), si(step[1]), change(*step))))
    memory = [{**one.memory, "in all": sum(one.memory.values())} for one in (first, second)]
    for what, a in memory[0].items():
        b = memory[1][what]
        table.add_row(*map(Text, (f"memory: {what}", size(a), size(b), change(a, b))))
    return table


def by_kind(summary: Summary) -> dict[str, Row]:
    """Sums by what a part is called within its layer: `layers: attention`."""
    result: dict[str, Row] = {}
    for part in summary.parts:
        words = part.name.split(".")
        name = f"layers: {'.'.join(words[2:]) or 'block'}" if words[0] == "layers" else part.name
        count, forward, training = result.get(name, (0, 0.0, 0.0))
        result[name] = (count + part.parameters, forward + part.forward, training + part.training)
    return result


def sums(summary: Summary) -> Row:
    return summary.parameters, summary.forward, summary.training


def merged(first: list[str], second: list[str]) -> list[str]:
    """All names, each where it stands in its own list."""
    result = list(first)
    at = 0
    for name in second:
        if name in result:
            at = result.index(name) + 1
        else:
            result.insert(at, name)
            at += 1
    return result


def add_row(table: Table, name: str, a: Row, b: Row, style: str = "") -> None:
    cells = [name, f"{a[0]:,}", f"{b[0]:,}", change(a[0], b[0])]
    for x, y in zip(a[1:], b[1:], strict=True):
        cells += [si(x), si(y), change(x, y)]
    table.add_row(*map(Text, cells[: len(table.columns)]), style=style)


def change(a: float, b: float) -> str:
    """How many times as much, or by how much of it."""
    if a == b:
        return "="
    if not a or not b:
        return "new" if b else "gone"
    return f"×{b / a:.3g}" if b >= 2 * a or a >= 2 * b else f"{b / a - 1:+.1%}"
