"""A model's summary as a table: parts and matrices with shapes, shares and costs, then what training takes.

And two of them side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from gptlab.drawing.table import new_table
from gptlab.model.summary import PartSummary, Summary

COLUMNS = ("part", "shape", "parameters", "share", "forward", "training", "kept")
SHOWN = 2  # layers that are shown one by one; of more, which are alike, the first
SAME = ", the same"
MOST = 12  # matrices of a part (an adapter has some for each layer); of more, half as many are shown

VERSUS_COLUMNS = ("part", "parameters", "→", "change", "forward", "→", "change", "training", "→", "change")
WIDE = 96  # columns of a terminal that these fit in
Row = tuple[int, float, float]  # parameters, forward, training


def summary_table(summary: Summary, numSteps: int | None = None) -> RenderableType:
    """The table, and facts on operations and memory; numSteps: how many steps the training has."""
    table = new_table(COLUMNS, padding=0)
    for name, group in groups(summary):
        add_part(table, name, group, summary)
    table.add_section()
    table.add_row(*cells("total", "", summary.parameters, summary, summary.parts), style="bold")
    return Group(table, Text(), facts(summary, numSteps))


def groups(summary: Summary) -> Iterator[tuple[str, list[PartSummary]]]:
    """What stands together: a layer, or a part by itself. Layers one after another that are the same as one before
    are one group."""
    named: dict[str, list[PartSummary]] = {}
    for part in summary.parts:
        words = part.name.split(".")
        named.setdefault(".".join(words[:2]) if words[0] == "layers" else words[0], []).append(part)
    layers = [name for name in named if name.startswith("layers.")]
    if len(layers) <= SHOWN:
        yield from named.items()
        return
    for name, group in named.items():
        if name not in layers:
            yield name, group
        elif name == layers[0]:
            yield from folded(layers, named, summary)


def folded(
    layers: Sequence[str], named: Mapping[str, list[PartSummary]], summary: Summary
) -> Iterator[tuple[str, list[PartSummary]]]:
    """The layers: of those that are the same the first is shown, and the others are told in a row where they stand."""

    def made_of(name: str) -> tuple[Any, ...]:
        own = summary.layers[int(name.removeprefix("layers."))] if summary.layers else ""
        parts = [(part.name.removeprefix(name), part.forward) for part in named[name]]
        return own, tuple(parts), tuple(m.shape for part in named[name] for m in part.matrices)

    first: dict[tuple[Any, ...], str] = {}
    before = ""
    for same, some in groupby(layers, made_of):
        run = list(some)
        if same not in first:
            first[same] = before = run.pop(0)
            yield before, named[before]
        if run:
            names = run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}"
            said = SAME if first[same] == before else f"{SAME} as {first[same]}"
            yield f"{names}{said}", [part for one in run for part in named[one]]
        before = ""


def add_part(table: Table, name: str, group: Sequence[PartSummary], summary: Summary) -> None:
    """A heading with the sums, and below it the parts and matrices."""
    counts = sum(part.parameters for part in group)
    table.add_row(*cells(name, "", counts, summary, group), style="bold")
    number = name.removeprefix("layers.")
    if summary.layers and number.isdigit():
        table.add_row(Text(f"  {summary.layers[int(number)]}"))
    for part in group if SAME not in name else ():
        inner = part.name.removeprefix(name).lstrip(".")
        if inner:
            table.add_row(*cells(f"  {inner}", "", part.parameters, summary, [part]))
        indent = "    " if inner else "  "
        most = len(part.matrices) if len(part.matrices) <= MOST else MOST // 2
        for matrix in part.matrices[:most]:
            own = matrix.name.removeprefix(f"{part.name}.")
            shape = "×".join(map(str, matrix.shape))
            row = cells(f"{indent}{own}", shape, matrix.count, summary, ())
            if not matrix.trainable:
                row = (*row[:5], Text("frozen"), row[6])
            table.add_row(*row, style="dim")
        if rest := part.matrices[most:]:
            count = sum(matrix.count for matrix in rest)
            table.add_row(*cells(f"{indent}{len(rest)} more", "", count, summary, ()), style="dim")


def cells(
    name: str, shape: str, count: int, summary: Summary, parts: Sequence[PartSummary]
) -> tuple[Text, ...]:
    share = f"{count / max(1, summary.parameters):.1%}" if count else ""
    costs = ["", "", ""]
    if parts:
        forward, training = sum(part.forward for part in parts), sum(part.training for part in parts)
        costs = [si(forward), si(training), size(sum(part.kept for part in parts))]
    return tuple(Text(cell) for cell in (name, shape, f"{count:,}" if count else "", share, *costs))


def facts(summary: Summary, numSteps: int | None) -> Table:
    """What training takes as a whole."""
    least = "at least " if summary.at_least else ""
    documents = f"{summary.batchSize:,} × {summary.positions:,} tokens"
    steps = f"; {si(summary.step * numSteps)} in {numSteps:,} steps" if numSteps else ""
    trained = "" if summary.trained == summary.parameters else f", {summary.trained:,} of them trained"
    memory = summary.memory
    state = f" ({', '.join(summary.optimizer)})" if memory["optimizer"] else ""
    rows = {
        "parameters": f"{summary.parameters:,}{trained}",
        "operations a token": f"{least}{si(summary.forward)} forward ({summary.products:.0%} in matrix products), "
        f"{si(summary.training)} with loss and gradient",
        "operations a step": f"{least}{si(summary.step)} for {documents}, {si(summary.update)} of them the update"
        + steps,
        f"memory, {summary.dtype}": f"{size(memory['weights'])} weights, {size(memory['gradients'])} gradients, "
        f"{size(memory['optimizer'])} optimizer{state}, {size(memory['activations'])} activations: "
        f"{size(sum(memory.values()))}",
        **({"init": summary.init} if summary.init else {}),
        "": "",
        "forward, training": "floating-point operations a token of a document of "
        f"{summary.positions:,} positions; a multiply-add is two",
        "kept": f"activations that the backward pass needs, for {documents}",
    }
    table = Table.grid(padding=(0, 2, 0, 0))
    for what, text in rows.items():
        table.add_row(Text(what), Text(text))
    return table


def si(number: float) -> str:
    """Three digits and k, M, G, T or P: `1.23 M`; whole numbers below a thousand as they are."""
    if not number:
        return "0"
    for unit in ("", " k", " M", " G", " T"):
        if abs(number) < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:,.3g} P" if number < 1e6 else f"{number:.3g} P"


def size(count: int) -> str:
    """Bytes, in steps of a thousand."""
    return decimal(count).replace(" bytes", " B") if count else "0"


def versus_table(
    first: Summary, second: Summary, keys: Mapping[str, tuple[str, str]], width: int
) -> RenderableType:
    """What differs in the configs (`keys`), what each part then costs, and what training takes.

    Layers are added up, since the two may have different numbers of them. Where `width`, in columns, is
    too little for all, what training a part costs is left out.
    """
    columns = len(VERSUS_COLUMNS) if width >= WIDE else len(VERSUS_COLUMNS) - 3
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
    table = new_table(VERSUS_COLUMNS[:columns], padding=0)
    rows, others = by_kind(first), by_kind(second)
    for kind in merged(list(rows), list(others)):
        add_row(table, kind, rows.get(kind, (0, 0, 0)), others.get(kind, (0, 0, 0)))
    table.add_section()
    a, b = ((one.parameters, one.forward, one.training) for one in (first, second))
    add_row(table, "total", a, b, style="bold")
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
