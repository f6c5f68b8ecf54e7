"""A model's summary as a table: parts and matrices with shapes, shares and costs, then what training takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


def summary_table(summary: Summary, numSteps: int | None = None) -> RenderableType:
    """The table, and facts on operations and memory; numSteps: how many steps the training has."""
    table = new_table(COLUMNS, padding=0)
    for name, group in groups(summary.parts):
        add_part(table, name, group, summary)
    table.add_section()
    table.add_row(*cells("total", "", summary.parameters, summary, summary.parts), style="bold")
    return Group(table, Text(), facts(summary, numSteps))


def groups(parts: Sequence[PartSummary]) -> Iterator[tuple[str, list[PartSummary]]]:
    """What stands together: a layer, or a part by itself. Layers that are like the first are one group."""
    named: dict[str, list[PartSummary]] = {}
    for part in parts:
        words = part.name.split(".")
        named.setdefault(".".join(words[:2]) if words[0] == "layers" else words[0], []).append(part)
    layers = [name for name in named if name.startswith("layers.")]
    alike = len({tuple(m.shape for part in named[name] for m in part.matrices) for name in layers}) == 1
    rest = layers[1:] if alike and len(layers) > SHOWN else []
    for name, group in named.items():
        if name not in rest:
            yield name, group
        elif name == rest[0]:
            yield f"{rest[0]} to {rest[-1]}{SAME}", [part for one in rest for part in named[one]]


def add_part(table: Table, name: str, group: Sequence[PartSummary], summary: Summary) -> None:
    """A heading with the sums, and below it the parts and matrices."""
    counts = sum(part.parameters for part in group)
    table.add_row(*cells(name, "", counts, summary, group), style="bold")
    for part in group if not name.endswith(SAME) else ():
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
    costs = (
        [
            si(sum(part.forward for part in parts)),
            si(sum(part.training for part in parts)),
            size(sum(part.kept for part in parts)),
        ]
        if parts
        else ["", "", ""]
    )
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
