"""Primitives of jax that move elements, or pick some by their places."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from gptlab.engines.c_code.values import Computed, Value, bracketed, literal, view
from gptlab.engines.c_code.writer import Writer, reshaped


def added(*terms: str) -> str:
    return " + ".join(term for term in terms if term != "0") or "0"


def scaled(index: str, by: int) -> str:
    return index if by == 1 else f"{bracketed(index)} * {by}"


def broadcast(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, axes = inputs[0], eqn.params["broadcast_dimensions"]
    value = value if prod(eqn.params["shape"]) == prod(value.shape) else writer.cheap(value)

    def element(index: Sequence[str]) -> list[str]:
        return [index[axis] if size != 1 else "0" for axis, size in zip(axes, value.shape, strict=True)]

    return [view(value, eqn.params["shape"], element)]


def reshape(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    return [reshaped(writer, inputs[0], eqn.outvars[0].aval.shape)]


def transpose(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    order = eqn.params["permutation"]
    place = {axis: i for i, axis in enumerate(order)}
    shape = eqn.outvars[0].aval.shape
    return [view(inputs[0], shape, lambda index: [index[place[axis]] for axis in range(len(order))])]


def sliced(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    starts = eqn.params["start_indices"]
    strides = eqn.params["strides"] or (1,) * len(starts)

    def element(index: Sequence[str]) -> list[str]:
        return [added(scaled(i, by), str(start)) for i, start, by in zip(index, starts, strides, strict=True)]

    return [view(inputs[0], eqn.outvars[0].aval.shape, element)]


def reversed_axes(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    shape, axes = inputs[0].shape, eqn.params["dimensions"]

    def element(index: Sequence[str]) -> list[str]:
        return [f"{shape[axis] - 1} - {bracketed(i)}" if axis in axes else i for axis, i in enumerate(index)]

    return [view(inputs[0], shape, element)]


def iota(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    axis = eqn.params["dimension"]
    return [Computed(eqn.params["shape"], eqn.outvars[0].aval.dtype, lambda index: index[axis], cheap=True)]


def padded(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, filling = inputs
    result = writer.new(eqn.outvars[0].aval.shape, value.dtype)
    with writer.loops(result.shape) as index:
        writer.put(f"{result.at(index)} = {filling.at(())};")
    with writer.holding([result]), writer.loops(value.shape) as index:
        places, inside = [], []
        for i, (low, _, between), size in zip(index, eqn.params["padding_config"], result.shape, strict=True):
            place = added(scaled(i, between + 1), str(low))
            places.append(place)
            if low < 0 or eqn.params["padding_config"][len(places) - 1][1] < 0:
                inside.append(f"{place} >= 0 && {place} < {size}")
        condition = f"if ({' && '.join(inside)}) " if inside else ""
        writer.put(f"{condition}{result.at(places)} = {value.at(index)};")
    return [result]


def concatenated(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    axis, begin = eqn.params["dimension"], 0
    result = writer.new(eqn.outvars[0].aval.shape, eqn.outvars[0].aval.dtype)
    for value in inputs:
        with writer.loops(value.shape) as index:
            place = [added(i, str(begin)) if n == axis else i for n, i in enumerate(index)]
            writer.put(f"{result.at(place)} = {value.at(index)};")
        begin += value.shape[axis]
    return [result]


def split(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, axis, begin, found = writer.cheap(inputs[0]), eqn.params["axis"], 0, []
    for out in eqn.outvars:

        def element(index: Sequence[str], begin: int = begin) -> list[str]:
            return [added(i, str(begin)) if n == axis else i for n, i in enumerate(index)]

        found.append(view(value, out.aval.shape, element))
        begin += out.aval.shape[axis]
    return found


def stacked(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    axis = eqn.params["axis"]
    result = writer.new(eqn.outvars[0].aval.shape, eqn.outvars[0].aval.dtype)
    for number, value in enumerate(inputs):
        with writer.loops(value.shape) as index:
            place = [*index[:axis], str(number), *index[axis:]]
            writer.put(f"{result.at(place)} = {value.at(index)};")
    return [result]


def unstacked(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, axis, found = writer.cheap(inputs[0]), eqn.params["axis"], []
    for number, out in enumerate(eqn.outvars):

        def element(index: Sequence[str], number: int = number) -> list[str]:
            return [*index[:axis], str(number), *index[axis:]]

        found.append(view(value, out.aval.shape, element))
    return found


def tiled(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value = writer.cheap(inputs[0])

    def element(index: Sequence[str]) -> list[str]:
        return [f"{bracketed(i)} % {size}" for i, size in zip(index, value.shape, strict=True)]

    return [view(value, eqn.outvars[0].aval.shape, element)]


def clamped(writer: Writer, start: Value, most: int, index: Sequence[str] = ()) -> str:
    """The name of a whole number in 0 ... most, as jax moves a window that would stick out."""
    if most == 0:
        return "0"
    name = writer.name()
    writer.put(f"int {name} = (int){bracketed(start.at(index))};")
    writer.put(f"{name} = {name} < 0 ? 0 : {name} > {most} ? {most} : {name};")
    return name


def dynamic_slice(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, *starts = inputs
    sizes = eqn.params["slice_sizes"]
    begins = [
        clamped(writer, start, whole - size)
        for start, whole, size in zip(starts, value.shape, sizes, strict=True)
    ]
    # Copied: names of numbers end with the block, and a view might outlive it.
    cut = view(value, sizes, lambda index: [added(i, begin) for i, begin in zip(index, begins, strict=True)])
    return [writer.copied(cut)]


def dynamic_update_slice(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    value, update, *starts = inputs
    result = writer.copied(value)
    begins = [
        clamped(writer, start, whole - size)
        for start, whole, size in zip(starts, value.shape, update.shape, strict=True)
    ]
    with writer.loops(update.shape) as index:
        place = [added(i, begin) for i, begin in zip(index, begins, strict=True)]
        writer.put(f"{result.at(place)} = {update.at(index)};")
    return [result]


def gather(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    """lax.gather as it is documented: a window of the operand for each index vector, which its last axis holds."""
    operand, indices = (writer.cheap(value) for value in inputs)
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    fills = "FILL" in str(eqn.params["mode"]).upper()
    result = writer.new(eqn.outvars[0].aval.shape, operand.dtype)
    with writer.loops(result.shape) as index:
        batch = [i for axis, i in enumerate(index) if axis not in numbers.offset_dims]
        offsets = iter([i for axis, i in enumerate(index) if axis in numbers.offset_dims])
        gone = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
        places = ["0" if axis in gone else next(offsets) for axis in range(len(operand.shape))]
        inside = []
        for number, axis in enumerate(numbers.start_index_map):
            most, at = operand.shape[axis] - sizes[axis], [*batch, str(number)]
            if fills:
                inside.append(f"{bracketed(indices.at(at))} >= 0 && {bracketed(indices.at(at))} <= {most}")
            places[axis] = added(places[axis], clamped(writer, indices, most, at))
        for own, theirs in zip(
            numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True
        ):
            places[own] = batch[theirs]
        found = operand.at(places)
        if inside:
            filling = eqn.params["fill_value"]
            nothing = np.nan if operand.dtype.kind == "f" else 0
            missing = literal(nothing if filling is None else filling, operand.dtype)
            found = f"({' && '.join(inside)}) ? {found} : {missing}"
        writer.put(f"{result.at(index)} = {found};")
    return [result]


SCATTERED = {
    "scatter": "{0} = {1};",
    "scatter-add": "{0} += {1};",
    "scatter_add": "{0} += {1};",
    "scatter-sub": "{0} -= {1};",
    "scatter_sub": "{0} -= {1};",
    "scatter-max": "if ({1} > {0}) {0} = {1};",
    "scatter_max": "if ({1} > {0}) {0} = {1};",
    "scatter-min": "if ({1} < {0}) {0} = {1};",
    "scatter_min": "if ({1} < {0}) {0} = {1};",
    "scatter-mul": "{0} *= {1};",
    "scatter_mul": "{0} *= {1};",
}


def scatter(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    """The windows of `gather` written to; those that stick out are left out."""
    operand, indices, updates = inputs[0], writer.cheap(inputs[1]), inputs[2]
    numbers = eqn.params["dimension_numbers"]
    result = writer.copied(operand)
    gone = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window = iter(numbers.update_window_dims)
    sizes = [1 if axis in gone else updates.shape[next(window)] for axis in range(len(operand.shape))]
    with writer.loops(updates.shape) as index:
        batch = [i for axis, i in enumerate(index) if axis not in numbers.update_window_dims]
        offsets = iter([index[axis] for axis in numbers.update_window_dims])
        places = ["0" if axis in gone else next(offsets) for axis in range(len(operand.shape))]
        inside = []
        for number, axis in enumerate(numbers.scatter_dims_to_operand_dims):
            name = writer.name()
            writer.put(f"const int {name} = (int){bracketed(indices.at([*batch, str(number)]))};")
            inside.append(f"{name} >= 0 && {name} <= {operand.shape[axis] - sizes[axis]}")
            places[axis] = added(places[axis], name)
        for own, theirs in zip(
            numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True
        ):
            places[own] = batch[theirs]
        statement = SCATTERED[eqn.primitive.name].format(result.at(places), updates.at(index))
        writer.put(f"if ({' && '.join(inside) or '1'}) {statement}")
    return [result]


HANDLERS = {
    "broadcast_in_dim": broadcast,
    "reshape": reshape,
    "squeeze": reshape,
    "expand_dims": reshape,
    "transpose": transpose,
    "slice": sliced,
    "rev": reversed_axes,
    "iota": iota,
    "pad": padded,
    "concatenate": concatenated,
    "split": split,
    "stack": stacked,
    "unstack": unstacked,
    "tile": tiled,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
    **dict.fromkeys(SCATTERED, scatter),
}
