"""Products of matrices, in blocks of rows whose sums a compiler can keep in registers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptlab.engines.c_code.values import Stored, Value, c_type, view
from gptlab.engines.c_code.writer import Writer

ROWS = 4  # of a block: each element of the right matrix is read once for so many
COLUMNS = 16  # of a block, where a matrix has more than twice as many: some vectors


@dataclass(frozen=True)
class Operand:
    """A side of a product, and which of its axes are a batch's, its own, and summed over."""

    value: Value
    batch: tuple[int, ...]
    free: tuple[int, ...]
    summed: tuple[int, ...]

    def at(self, batch: Sequence[str], free: Sequence[str], summed: Sequence[str]) -> str:
        axes = (*self.batch, *self.free, *self.summed)
        place = dict(zip(axes, (*batch, *free, *summed), strict=True))
        return self.value.at([place[axis] for axis in range(len(self.value.shape))])

    def turned(self, writer: Writer) -> Operand:
        """The same numbers with its own axes last, so that they lie beside each other."""
        order = (*self.batch, *self.summed, *self.free)
        shape = [self.value.shape[axis] for axis in order]
        place = {axis: i for i, axis in enumerate(order)}
        of = view(self.value, shape, lambda index: [index[place[axis]] for axis in range(len(order))])
        axes = iter(range(len(order)))
        batch, summed, free = (
            tuple(next(axes) for _ in group) for group in (self.batch, self.summed, self.free)
        )
        return Operand(writer.copied(of), batch, free, summed)


def operand(value: Value, batch: Sequence[int], summed: Sequence[int]) -> Operand:
    free = (axis for axis in range(len(value.shape)) if axis not in (*summed, *batch))
    return Operand(value, tuple(batch), tuple(free), tuple(summed))


def dot(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    left, right = inputs
    return [product(writer, left, right, eqn.params["dimension_numbers"], eqn.outvars[0].aval)]


def rows_times_matrix(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    """See xla_rows.py; where numbers have no halves, it is the product of two matrices."""
    left, right = inputs
    return [product(writer, left, right, (((1,), (0,)), ((), ())), eqn.outvars[0].aval)]


def are_neighbours(value: Value, axis: int) -> bool:
    """Whether elements that follow one another on this axis lie beside each other."""
    place = value.at([f"at{i}" for i in range(len(value.shape))])
    return re.search(rf"\bat{axis}\b(?! \*| %|\))", place) is not None


def product(writer: Writer, left: Value, right: Value, axes: Any, of: Any) -> Stored:
    """axes: which are summed over and which are a batch's, of either operand. of: what has the shape and dtype.

    Each sum is taken in the order of what is summed over, whatever the blocks.
    """
    (left_summed, right_summed), (left_batch, right_batch) = axes
    mine = operand(writer.cheap(left), left_batch, left_summed)
    theirs = operand(writer.cheap(right), right_batch, right_summed)
    rows = mine.value.shape[mine.free[-1]] if mine.free else 1
    columns = theirs.value.shape[theirs.free[-1]] if theirs.free else 1
    if rows < ROWS or columns < ROWS:
        return by_element(writer, mine, theirs, of)
    if not are_neighbours(theirs.value, theirs.free[-1]):
        theirs = theirs.turned(writer)
    return by_blocks(writer, mine, theirs, of)


def by_blocks(writer: Writer, mine: Operand, theirs: Operand, of: Any) -> Stored:
    """ROWS rows of the left matrix by COLUMNS columns of the right one at a time."""
    result = writer.new(of.shape, of.dtype)
    kind, batches, height = c_type(of.dtype), len(mine.batch), len(mine.free)
    rows, columns = mine.value.shape[mine.free[-1]], of.shape[-1]
    summed = [mine.value.shape[axis] for axis in mine.summed]
    wide = columns if columns % COLUMNS and columns <= 2 * COLUMNS else COLUMNS
    around = [n for axis, n in enumerate(of.shape[:-1]) if axis != batches + height - 1]

    def block(
        batch: list[str], above: list[str], before: list[str], of_rows: list[str], first: str, wide: int
    ) -> None:
        sums = [writer.name() for _ in of_rows]
        writer.put(f"{kind} {', '.join(f'{name}[{wide}]' for name in sums)};")
        with writer.loops([wide]) as (j,):
            writer.put(" = ".join(f"{name}[{j}]" for name in sums) + " = 0;")
        with writer.loops(summed) as inner:
            factors = [writer.name() for _ in of_rows]
            for name, row in zip(factors, of_rows, strict=True):
                writer.put(f"const {kind} {name} = {mine.at(batch, [*above, row], inner)};")
            with writer.loops([wide]) as (j,):
                other = theirs.at(batch, [*before, f"{first}{j}"], inner)
                for name, factor in zip(sums, factors, strict=True):
                    writer.put(f"{name}[{j}] += {factor} * {other};")
        with writer.loops([wide]) as (j,):
            for name, row in zip(sums, of_rows, strict=True):
                place = [*batch, *above, row, *before, f"{first}{j}"]
                writer.put(f"{result.at(place)} = {name}[{j}];")

    with writer.loops(around) as outer:
        batch, above, before = (
            outer[:batches],
            outer[batches : batches + height - 1],
            outer[batches + height - 1 :],
        )

        def blocks(of_rows: list[str]) -> None:
            whole, j = columns // wide * wide, writer.name()
            if whole == wide:
                block(batch, above, before, of_rows, "", wide)
            else:
                with writer.block(f"for (int {j} = 0; {j} < {whole}; {j} += {wide})"):
                    block(batch, above, before, of_rows, f"{j} + ", wide)
            if whole < columns:
                block(batch, above, before, of_rows, f"{whole} + ", columns - whole)

        whole, i = rows // ROWS * ROWS, writer.name()
        with writer.block(f"for (int {i} = 0; {i} < {whole}; {i} += {ROWS})"):
            blocks([i, *(f"{i} + {k}" for k in range(1, ROWS))])
        if whole < rows:
            blocks([str(row) for row in range(whole, rows)])
    return result


def by_element(writer: Writer, mine: Operand, theirs: Operand, of: Any) -> Stored:
    """Where the results of neighbours are made of neighbours, their sums go side by side; else one after the other."""
    result = writer.new(of.shape, of.dtype)
    sizes = [mine.value.shape[axis] for axis in mine.summed]
    batches, height = len(mine.batch), len(mine.free)

    def factors(index: Sequence[str], inner: Sequence[str]) -> str:
        batch, above, before = (
            index[:batches],
            index[batches : batches + height],
            index[batches + height :],
        )
        return f"{mine.at(batch, above, inner)} * {theirs.at(batch, before, inner)}"

    if theirs.free and result.shape[-1] > 1 and are_neighbours(theirs.value, theirs.free[-1]):
        with writer.loops(result.shape) as index:
            writer.put(f"{result.at(index)} = 0;")
        with (
            writer.loops(result.shape[:-1]) as outer,
            writer.loops(sizes) as inner,
            writer.loops(result.shape[-1:]) as (i,),
        ):
            writer.put(f"{result.at([*outer, i])} += {factors([*outer, i], inner)};")
        return result
    total = writer.name()
    with writer.loops(result.shape) as index:
        writer.put(f"{c_type(result.dtype)} {total} = 0;")
        with writer.loops(sizes) as inner:
            writer.put(f"{total} += {factors(index, inner)};")
        writer.put(f"{result.at(index)} = {total};")
    return result


HANDLERS = {"dot_general": dot, "rows_times_matrix": rows_times_matrix}
