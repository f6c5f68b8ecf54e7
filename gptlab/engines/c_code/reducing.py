"""Primitives of jax that make one element of many: sums, extremes, orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gptlab.engines.c_code.elementwise import ANY, FLOATS, WHOLE, Expression, formatted
from gptlab.engines.c_code.values import Stored, Value, c_type
from gptlab.engines.c_code.writer import Writer

# What each reduction combines two elements by, of numbers and of truths.
REDUCED = {
    "reduce_sum": "add",
    "reduce_max": "max",
    "reduce_min": "min",
    "reduce_prod": "mul",
    "reduce_and": "and",
    "reduce_or": "or",
    "reduce_xor": "xor",
}
CUMULATED = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}


def combined(name: str, dtype: np.dtype[Any]) -> Expression:
    template = (FLOATS if dtype.kind == "f" else WHOLE).get(name) or ANY[name]
    return formatted(template, dtype)


def outer_and_inner(
    shape: Sequence[int], axes: Sequence[int], outer: Sequence[str], inner: Sequence[str]
) -> list[str]:
    """The index of which some axes are looped over within."""
    within, around = iter(inner), iter(outer)
    return [next(within) if axis in axes else next(around) for axis in range(len(shape))]


def reduced(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, axes = inputs[0], eqn.params["axes"]
    name = REDUCED[eqn.primitive.name]
    # Written twice in the comparison, computed once.
    value = writer.cheap(value) if name in ("max", "min") else value
    result = writer.new(eqn.outvars[0].aval.shape, value.dtype)
    combine, total = combined(name, value.dtype), writer.name()
    sizes = [value.shape[axis] for axis in axes]
    with writer.loops(result.shape) as outer:
        start = {"add": "0", "xor": "0", "or": "0", "mul": "1", "and": "1"}.get(name)
        start = start or value.at(outer_and_inner(value.shape, axes, outer, ["0"] * len(axes)))
        writer.put(f"{c_type(value.dtype)} {total} = {start};")
        with writer.loops(sizes) as inner:
            writer.put(
                f"{total} = {combine(total, value.at(outer_and_inner(value.shape, axes, outer, inner)))};"
            )
        writer.put(f"{result.at(outer)} = {total};")
    return [result]


def first_extreme(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    """Where the largest, or the smallest, is; the first of several."""
    value, (axis,) = writer.cheap(inputs[0]), eqn.params["axes"]
    sign = ">" if eqn.primitive.name == "argmax" else "<"
    result = writer.new(eqn.outvars[0].aval.shape, eqn.outvars[0].aval.dtype)
    best = writer.name()
    with writer.loops(result.shape) as outer:
        writer.put(f"int {best} = 0;")
        with writer.loops([value.shape[axis]]) as (i,):
            here = value.at(outer_and_inner(value.shape, [axis], outer, [i]))
            there = value.at(outer_and_inner(value.shape, [axis], outer, [best]))
            writer.put(f"if ({here} {sign} {there}) {best} = {i};")
        writer.put(f"{result.at(outer)} = {best};")
    return [result]


def cumulated(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, axis = inputs[0], eqn.params["axis"]
    result = writer.copied(value)
    combine, size = combined(CUMULATED[eqn.primitive.name], value.dtype), value.shape[axis]
    others = [n for a, n in enumerate(value.shape) if a != axis]
    if size < 2:
        return [result]
    with writer.loops(others) as outer, writer.loops([size - 1]) as (i,):
        at, before = (f"{size - 2} - {i}", f"{size - 1} - {i}") if eqn.params["reverse"] else (f"{i} + 1", i)
        at, before = (
            result.at(outer_and_inner(value.shape, [axis], outer, [place])) for place in (at, before)
        )
        writer.put(f"{at} = {combine(before, at)};")
    return [result]


def sorted_lines(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    """By insertion, which keeps the order of equals: lines are short."""
    results = [writer.copied(value) for value in inputs]
    axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
    shape, size = results[0].shape, results[0].shape[axis]
    others = [n for a, n in enumerate(shape) if a != axis]
    with writer.loops(others) as outer, writer.loops([size]) as (i,):
        if size < 2:
            writer.put(f"(void){i};")
            return results
        j = writer.name()

        def at(value: Stored, place: str) -> str:
            return value.at(outer_and_inner(shape, [axis], outer, [place]))

        later = "0"
        for value in reversed(results[:keys]):
            first, second = at(value, f"{j} - 1"), at(value, j)
            later = f"({first} > {second} || ({first} == {second} && {later}))"
        writer.put(f"for (int {j} = {i}; {j} > 0 && {later}; {j}--) {{")
        for value in results:
            kind, kept = c_type(value.dtype), writer.name()
            writer.put(f"    {kind} {kept} = {at(value, j)};")
            writer.put(f"    {at(value, j)} = {at(value, f'{j} - 1')}; {at(value, f'{j} - 1')} = {kept};")
        writer.put("}")
    return results


def largest(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    """top_k: the k largest of each line, the largest first, and where they were."""
    rest, k = writer.copied(inputs[0]), eqn.params["k"]
    values, places = (writer.new(v.aval.shape, v.aval.dtype) for v in eqn.outvars)
    best, size, axis = writer.name(), rest.shape[-1], len(rest.shape) - 1
    taken = writer.new(rest.shape, np.dtype(bool))
    with writer.loops(rest.shape) as index:
        writer.put(f"{taken.at(index)} = 0;")
    with writer.loops(rest.shape[:axis]) as outer, writer.loops([k]) as (i,):
        writer.put(f"int {best} = -1;")
        with writer.loops([size]) as (j,):
            here = rest.at([*outer, j])
            writer.put(
                f"if (!{taken.at([*outer, j])} && ({best} < 0 || {here} > {rest.at([*outer, best])})) {best} = {j};"
            )
        writer.put(f"{taken.at([*outer, best])} = 1;")
        writer.put(f"{values.at([*outer, i])} = {rest.at([*outer, best])};")
        writer.put(f"{places.at([*outer, i])} = {best};")
    return [values, places]


HANDLERS = {
    **dict.fromkeys(REDUCED, reduced),
    **dict.fromkeys(CUMULATED, cumulated),
    "argmax": first_extreme,
    "argmin": first_extreme,
    "sort": sorted_lines,
    "top_k": largest,
}
