"""Equations that jax has traced, one after the other, as statements of C."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from jax.extend.core import Literal

from gptlab.engines.c_code.arena import Arena
from gptlab.engines.c_code.elementwise import SAME, TWICE, expression_of
from gptlab.engines.c_code.values import (
    Computed,
    Stored,
    Value,
    c_type,
    constant,
    flat,
    literal,
    names,
    unflattened,
)
from gptlab.engines.xla_costs import body_of
from gptlab.errors import UserError

Handler = Callable[["Writer", Any, list[Value]], Sequence[Value]]
LARGE = 1 << 14  # numbers; a constant of more would be most of the file


class Writer:
    """lines: the statements so far. constants: definitions of the arrays that they read. prefix: of all their names."""

    def __init__(self, handlers: dict[str, Handler], prefix: str) -> None:
        self.arena = Arena(prefix)
        self._prefix = prefix
        self.lines: list[str] = []
        self.constants: list[str] = []
        self._handlers = handlers
        self._depth = 1
        self._names = names("i")
        self._frames: list[dict[Any, Value]] = []
        self._held: list[Value] = []
        self._lying: list[Stored] = []

    # ---- statements

    def put(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """What is declared in it ends with it, as in C."""
        self.put(head + " {")
        self._depth += 1
        before = len(self._lying)
        yield
        for value in self._lying[before:]:
            self.arena.free(value)
        del self._lying[before:]
        self._depth -= 1
        self.put("}")

    @contextmanager
    def loops(self, shape: Sequence[int]) -> Iterator[list[str]]:
        """A loop for each axis that has several places; yields the index."""
        index, opened = [], 0
        for size in shape:
            if size == 1:
                index.append("0")
                continue
            i = next(self._names)
            index.append(i)
            self.put(f"for (int {i} = 0; {i} < {size}; {i}++) {{")
            self._depth += 1
            opened += 1
        yield index
        for _ in range(opened):
            self._depth -= 1
            self.put("}")

    def name(self) -> str:
        return next(self._names)

    @contextmanager
    def holding(self, values: Sequence[Value]) -> Iterator[None]:
        """What they read stays where it lies meanwhile."""
        self._held.extend(values)
        yield
        del self._held[len(self._held) - len(values) :]

    # ---- values

    def new(self, shape: Sequence[int], dtype: Any) -> Stored:
        value = self.arena.new(tuple(shape), dtype)
        self._lying.append(value)
        self.put(self.arena.declared(value))
        return value

    def copied(self, value: Value, to: Stored | None = None) -> Stored:
        """Each element computed, and written where it can be read again."""
        to = to or self.new(value.shape, value.dtype)
        if isinstance(value, Stored):
            self.put(f"memcpy({to.name}, {value.name}, sizeof({c_type(to.dtype)}) * {to.size});")
            return to
        with self.loops(value.shape) as index:
            self.put(f"{to.at(index)} = {value.at(index)};")
        return to

    def stored(self, value: Value) -> Stored:
        return value if isinstance(value, Stored) else self.copied(value)

    def cheap(self, value: Value) -> Value:
        return value if value.cheap else self.copied(value)

    def known(self, array: np.ndarray) -> Value:
        """A constant of the program."""
        if array.ndim == 0 or (array.size and (array == array.flat[0]).all()):
            text = literal(array.flat[0], array.dtype)
            return Computed(array.shape, array.dtype, lambda index: text, cheap=True)
        if array.size > LARGE:
            raise UserError(
                f"a C program must hold its constants: one has {array.size:,} numbers, more than {LARGE:,}. Try a "
                "smaller model.blockSize."
            )
        value = Stored(f"{self._prefix}known{len(self.constants)}", array.shape, array.dtype)
        numbers = ", ".join(literal(x, array.dtype) for x in array.flat)
        self.constants.append(
            f"static const {c_type(array.dtype)} {value.name}[{array.size}] = {{{numbers}}};"
        )
        return value

    def defined(self, name: str, source: str) -> str:
        """A function of the file, written once; `PREFIX` in it becomes what its name begins with, too."""
        source = source.replace("PREFIX", self._prefix)
        if source not in self.constants:
            self.constants.append(source)
        return self._prefix + name

    # ---- equations

    def write(self, jaxpr: Any, constants: Sequence[Any], arguments: Sequence[Value]) -> list[Value]:
        """The statements of a jaxpr; returns its results, which lie where they lie until the block ends."""
        frame: dict[Any, Value] = dict(zip(jaxpr.invars, arguments, strict=True))
        needed = self._needed(jaxpr)
        asked = [*(eqn.invars for eqn in needed), jaxpr.outvars]
        uses = Counter(v for vs in asked for v in variables(vs))
        last = {v: i for i, vs in enumerate(asked) for v in variables(vs)}
        known = zip(jaxpr.constvars, constants, strict=True)
        frame |= {v: self._given(c) for v, c in known if v in last}
        self._frames.append(frame)

        def value(v: Any) -> Value:
            of: Any = v.aval
            return constant(v.val, of.dtype) if isinstance(v, Literal) else frame[v]

        for i, eqn in enumerate(needed):
            results = self._equation(eqn, [value(v) for v in eqn.invars])
            for v, result in zip(eqn.outvars, results, strict=True):
                if v not in last:
                    continue
                if not result.cheap and uses[v] > 1:
                    result = self.copied(result)
                frame[v] = result
            for v in [v for v in frame if last.get(v, -1) <= i]:
                del frame[v]
            self._free()
        found = [value(v) for v in jaxpr.outvars]
        self._frames.pop()
        return found

    def _given(self, known: Any) -> Value:
        return known if isinstance(known, Stored | Computed) else self.known(np.asarray(known))

    @staticmethod
    def _needed(jaxpr: Any) -> list[Any]:
        """The equations that the results depend on."""
        needed = set(variables(jaxpr.outvars))
        kept = []
        for eqn in reversed(jaxpr.eqns):
            if any(v in needed for v in eqn.outvars):
                kept.append(eqn)
                needed.update(variables(eqn.invars))
        return kept[::-1]

    def _free(self) -> None:
        read: set[Stored] = set()
        for frame in self._frames:
            for value in frame.values():
                read |= value.stored
        for value in self._held:
            read |= value.stored
        for value in [v for v in self._lying if v not in read]:
            self.arena.free(value)
            self._lying.remove(value)

    def _equation(self, eqn: Any, inputs: list[Value]) -> Sequence[Value]:
        name = eqn.primitive.name
        if name in self._handlers:
            return self._handlers[name](self, eqn, inputs)
        inner = body_of(eqn)
        if inner is not None:
            closed = next(
                eqn.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in eqn.params
            )
            return self.write(inner, getattr(closed, "consts", ()), inputs)
        if name in SAME and len(inputs) > 1:
            return inputs
        expression = expression_of(eqn)
        if expression is None:
            raise UserError(
                f"a C program can hold only what has a counterpart in C: '{name}' of jax has none here. Write the "
                "component or op without it."
            )
        shape = eqn.outvars[0].aval.shape
        inputs = [self.cheap(x) if name in TWICE or x.shape != shape else x for x in inputs]

        def element(index: Sequence[str]) -> str:
            return expression(*(x.at(index if x.shape else ()) for x in inputs))

        cheap = name in SAME and all(value.cheap for value in inputs)
        return [Computed(shape, eqn.outvars[0].aval.dtype, element, tuple(inputs), cheap)]


def variables(given: Sequence[Any]) -> list[Any]:
    return [v for v in given if not isinstance(v, Literal)]


def reshaped(writer: Writer, value: Value, shape: Sequence[int]) -> Value:
    """The same numbers, row by row, under other indices."""
    if isinstance(value, Stored):
        return Computed(
            tuple(shape), value.dtype, lambda index: f"{value.name}[{flat(index, shape)}]", (value,), True
        )
    kept = [size for size in value.shape if size != 1]
    if kept == [size for size in shape if size != 1]:

        def element(index: Sequence[str]) -> str:
            places = iter([i for i, size in zip(index, shape, strict=True) if size != 1])
            return value.at([next(places) if size != 1 else "0" for size in value.shape])

        return Computed(tuple(shape), value.dtype, element, (value,), value.cheap)
    if value.cheap and prod(shape) <= 64:
        return Computed(
            tuple(shape),
            value.dtype,
            lambda index: value.at(unflattened(flat(index, shape), value.shape)),
            (value,),
            True,
        )
    return reshaped(writer, writer.copied(value), shape)
