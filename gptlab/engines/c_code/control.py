"""Loops and choices of a traced program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gptlab.engines.c_code.values import Stored, Value, view
from gptlab.engines.c_code.writer import Writer


def carried(writer: Writer, new: Sequence[Value], to: Sequence[Stored]) -> None:
    """What the next turn begins with: all of it is made before any of it is written."""
    ready = [
        value if isinstance(value, Stored) and value not in to else writer.copied(value) for value in new
    ]
    for value, place in zip(ready, to, strict=True):
        writer.copied(value, place)


def while_loop(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    params = eqn.params
    asked, given = params["cond_nconsts"], params["body_nconsts"]
    to_ask, to_do, start = inputs[:asked], inputs[asked : asked + given], inputs[asked + given :]
    to_ask, to_do = ([writer.cheap(value) for value in values] for values in (to_ask, to_do))
    with writer.holding([*to_ask, *to_do]):
        carry = [writer.copied(value) for value in start]
        with writer.holding(carry), writer.block("for (;;)"):
            closed = params["cond_jaxpr"]
            (goes_on,) = writer.write(closed.jaxpr, closed.consts, [*to_ask, *carry])
            writer.put(f"if (!{goes_on.at(())}) break;")
            closed = params["body_jaxpr"]
            carried(writer, writer.write(closed.jaxpr, closed.consts, [*to_do, *carry]), carry)
    return carry


def scan(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    params, closed = eqn.params, eqn.params["jaxpr"]
    fixed, kept, length = params["num_consts"], params["num_carry"], params["length"]
    constants = [writer.cheap(value) for value in inputs[:fixed]]
    lines = [writer.cheap(value) for value in inputs[fixed + kept :]]
    with writer.holding([*constants, *lines]):
        carry = [writer.copied(value) for value in inputs[fixed : fixed + kept]]
        results = [writer.new(v.aval.shape, v.aval.dtype) for v in eqn.outvars[kept:]]
        turn = writer.name()
        head = f"for (int {turn} = 0; {turn} < {length}; {turn}++)"
        if params["reverse"]:
            head = f"for (int {turn} = {length - 1}; {turn} >= 0; {turn}--)"
        with writer.holding([*carry, *results]), writer.block(head):
            rows = [view(line, line.shape[1:], lambda index: [turn, *index]) for line in lines]
            after = writer.write(closed.jaxpr, closed.consts, [*constants, *carry, *rows])
            for value, result in zip(after[kept:], results, strict=True):
                with writer.loops(value.shape) as index:
                    writer.put(f"{result.at([turn, *index])} = {value.at(index)};")
            carried(writer, after[:kept], carry)
    return [*carry, *results]


def cond(writer: Writer, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
    which, *operands = inputs
    branches = eqn.params["branches"]
    operands = [writer.cheap(value) for value in operands]
    with writer.holding(operands):
        results = [writer.new(v.aval.shape, v.aval.dtype) for v in eqn.outvars]
        chosen = writer.name()
        writer.put(f"const int {chosen} = (int){writer.stored(which).at(())};")
        with writer.holding(results):
            for number, closed in enumerate(branches):
                last = number == len(branches) - 1
                condition = f"{chosen} <= 0" if number == 0 else f"{chosen} == {number}"
                head = "else" if last and number else f"{'else ' if number else ''}if ({condition})"
                with writer.block(head):
                    found = writer.write(closed.jaxpr, closed.consts, operands)
                    for value, result in zip(found, results, strict=True):
                        writer.copied(value, result)
    return results


HANDLERS = {"while": while_loop, "scan": scan, "cond": cond}
