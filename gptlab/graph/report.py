"""What `python -m gptlab graph` prints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gptlab.autograd.picture import shown
from gptlab.drawing.table import new_table
from gptlab.graph.census import Census
from gptlab.graph.number import Trace, Use
from gptlab.model.scoped import MAKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

LAYERS = 3  # up to so many, each has rows of its own
USES = 16  # of a number, shown one by one
AGREES = 1e-4  # relative; a central difference has about eight digits at best, fewer of a small gradient
NOISE = 1e-9  # what a difference of two losses leaves of a gradient of 0


def print_counts(console: Console, fused: Census, unfused: Census | None, layers: int, total: int) -> None:
    """The nodes of each op in each part; then the graph as a whole. total: the model's parameters."""
    other = None if unfused is None else merged(unfused, layers)
    console.print(parts_table(console, merged(fused, layers), other))
    console.print()
    both = [fused] if unfused is None else [fused, unfused]
    table = new_table(["", "fused", *([] if unfused is None else ["unfused"])])
    # Of documents that stand for others of their length it is not known which words they use.
    used = f"{fused.parameters:,} of {total:,}"
    rows: dict[str, Callable[[Census], str]] = {
        "nodes": lambda c: f"{c.total:,}",
        "edges": lambda c: f"{c.edges:,}",
        "depth": lambda c: f"{c.depth:,}",
        "leaves: parameters used": lambda c: used,
        "leaves: constants": lambda c: f"{c.constants:,}",
        "memory": lambda c: megabytes(c.bytes),
        "bytes a node": lambda c: f"{c.bytes / c.total:,.0f}",
    }
    for name, cell in rows.items():
        table.add_row(name, *map(cell, both))
    console.print(table)
    console.print()
    if unfused is None:
        console.print(f"unfused it would be about {fused.unfused:,} nodes, too many to build here")
    notes = (
        "fused: one node for a dot product, a sum, a difference, a quotient; unfused: one for each operation",
        "depth: nodes on the longest way from the loss down",
        "memory: what Python holds for the nodes, before backward, the weights apart (tracemalloc)",
    )
    for note in notes:
        console.print(note, style="dim")


def parts_table(console: Console, census: Census, unfused: Census | None) -> Table:
    """A column an op; on a narrow terminal all ops in one column."""
    parts = in_order(list(dict.fromkeys(part for part, _ in census.nodes)))
    for wide in (True, False):
        other = [] if unfused is None else ["unfused"]
        table = new_table(["part", *(census.ops if wide else []), "nodes", "share", *other])
        if not wide:
            table.add_column("of which", overflow="fold")
        for part in [*parts, None]:
            by_op = {op: census.of(part, op) for op in census.ops}
            cells = [f"{n:,}" if n else "" for n in by_op.values()] if wide else []
            cells += [f"{census.of(part):,}", f"{census.of(part) / census.total:.1%}"]
            if unfused is not None:
                cells.append(f"{unfused.of(part):,}")
            if not wide:
                cells.append("  ".join(f"{op}\N{NO-BREAK SPACE}{n:,}" for op, n in by_op.items() if n))
            if part is None:
                table.add_section()
            table.add_row("total" if part is None else part, *cells)
        options = console.options.update(max_width=10 * console.width)
        if not wide or console.measure(table, options=options).maximum <= console.width:
            break
    return table


def merged(census: Census, layers: int) -> Census:
    """The parts of all layers as one each, where there are many layers."""
    if layers <= LAYERS:
        return census
    nodes: Counter[tuple[str, str]] = Counter()
    for (part, op), count in census.nodes.items():
        nodes[of_all_layers(part), op] += count
    return replace(census, nodes=nodes)


def in_order(parts: Sequence[str]) -> list[str]:
    """As a forward pass comes to them; a layer's own sums after its components."""
    first, last = (*MAKING, "embeddings", "embeddingNorm"), ("finalNorm", "output", "loss")

    def key(part: str) -> tuple[int, int, int, int]:
        if part in first:
            return 0, first.index(part), 0, 0
        if part in last:
            return 2, last.index(part), 0, 0
        number = re.match(r"layers\.(\d+)", part)
        return 1, int(number[1]) if number else 0, part.count(".") < 2, parts.index(part)

    return sorted(parts, key=key)


def print_trace(console: Console, trace: Trace, layers: int, inexact: Sequence[str]) -> None:
    """Where a number goes, its gradient, and the check. inexact: ops whose gradient is not the derivative."""
    console.print(
        f"{trace.name} = {trace.value:.6g}, one of the numbers that the loss {trace.loss:.6f} is made of"
    )
    console.print()
    if not trace.uses:
        console.print("The step does not use it: no node is made of it, and its gradient is 0.")
        return
    uses = trace.uses
    left = []
    if len(uses) > USES:
        kept = {id(use) for use in sorted(uses, key=lambda use: -abs(use.brings))[:USES]}
        left = [use for use in uses if id(use) not in kept]
        uses = [use for use in uses if id(use) in kept]
    table = new_table(["used by", "part", "data", "local gradient", "grad", "brings"], left=(0, 1))
    for use in uses:
        table.add_row(*cells_of(use), number(use.brings))
    if left:
        table.add_row(f"{len(left):,} more", "", "", "", "", number(sum(use.brings for use in left)))
    table.add_section()
    table.add_row("its gradient", "", "", "", "", number(trace.gradient))
    console.print(table)
    console.print()
    reached, every = by_layers(trace.reached, layers), by_layers(trace.nodes, layers)
    table = new_table(["where it goes", "nodes that depend on it", "of"])
    for part in in_order(list(every)):
        table.add_row(part, f"{reached[part]:,}", f"{every[part]:,}")
    table.add_section()
    table.add_row("total", f"{sum(reached.values()):,}", f"{sum(every.values()):,}")
    console.print(table)
    console.print()
    console.print(
        f"the way to the loss that brings most, at each node ({len(trace.heaviest)} nodes):", style="bold"
    )
    table = new_table(["op", "part", "data", "local gradient", "grad"], left=(0, 1))
    for use in trace.heaviest:
        table.add_row(*cells_of(use))
    console.print(table)
    console.print()
    console.print(check_of(trace, inexact))


def check_of(trace: Trace, inexact: Sequence[str]) -> str:
    gap = abs(trace.gradient - trace.difference)
    scale = max(abs(trace.gradient), abs(trace.difference))
    agrees = gap <= AGREES * scale + NOISE
    lines = [
        f"gradient by the graph       {trace.gradient: .10e}",
        f"by a central difference     {trace.difference: .10e}   (loss at ± {trace.step:.1e}, forward only)",
    ]
    relative = f"{gap / scale:.1e} of it" if scale else "0"
    if agrees:
        return "\n".join([*lines, f"they agree: apart by {gap:.1e}, {relative}"])
    why = (
        f"{', '.join(inexact)} is registered with a gradient that is not the derivative"
        if inexact
        else "a kink (relu, maximum) or a step lies within the difference, or an op's gradient is not its derivative"
    )
    return "\n".join([*lines, f"they differ by {gap:.1e}, {relative}: {why}"])


def print_expression(
    console: Console, values: Mapping[str, tuple[float, float, float]], result: float
) -> None:
    """values: of each name its number, its gradient, and that by a central difference."""
    console.print(f"result {result:.10g}")
    if values:
        console.print()
        table = new_table(["name", "data", "grad", "central difference"])
        for name, numbers in values.items():
            table.add_row(name, *(f"{n:.8g}" for n in numbers))
        console.print(table)


def by_layers(counts: Counter[str], layers: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for part, count in counts.items():
        found[part if layers <= LAYERS else of_all_layers(part)] += count
    return found


def of_all_layers(part: str) -> str:
    return re.sub(r"^layers\.\d+", "layers.*", part)


def cells_of(use: Use) -> tuple[str, str, str, str, str]:
    return use.node.op, use.part, shown(use.node.data), shown(use.local_grad), number(use.node.grad)


def number(x: float) -> str:
    return f"{x + 0.0:.5g}"


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
