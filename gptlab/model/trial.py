"""A trial of a model on shapes alone: do the weights that components declare fit what they do with them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Arithmetic, Tensor
from gptlab.engines.context import Context, causal_context
from gptlab.errors import UserError
from gptlab.model.component import Part
from gptlab.model.gpt import GPT, LAYER_KINDS

POSITIONS = 2


class ShapeArithmetic(Arithmetic):
    """On arrays of nothing but zeros: every operation costs what its shape costs. applied: the ops, by name."""

    xp = np

    def __init__(self, ops: OpTable):
        super().__init__(ops)
        self.applied: dict[str, None] = {}

    def constant(self, values: Any) -> np.ndarray:
        return zeros(np.shape(values))

    def apply(self, name: str, *xs: Any) -> np.ndarray:
        op, shapes = self.ops[name], [np.shape(x) for x in xs]
        self.applied[name] = None
        if len(xs) != op.arity:
            raise UserError(f"the op '{op.name}' takes {op.arity} numbers, got {len(xs)}.")
        return zeros(broadcast(f"'{op.name}'", *shapes))

    def fold(self, name: str, x: Any, axis: int, mask: Any = None) -> np.ndarray:
        if mask is not None and broadcast("a mask", np.shape(mask), x.shape) != x.shape:
            raise UserError(
                f"a mask must fit what it masks: got {shown(np.shape(mask))} for {shown(x.shape)}."
            )
        return zeros(np.delete(np.array(x.shape, dtype=int), axis))

    def where(self, condition: Any, x: Any, y: Any) -> np.ndarray:
        return zeros(broadcast("where", np.shape(condition), np.shape(x), np.shape(y)))

    def largest(self, x: np.ndarray, axis: int) -> np.ndarray:
        return x.max(axis, keepdims=True)

    def true_difference(self, x: Any, y: Any) -> np.ndarray:
        return zeros(broadcast("-", x.shape, y.shape))

    def pick(self, x: np.ndarray, indices: Any) -> np.ndarray:
        if x.ndim != 2 or np.shape(indices) != x.shape[:1]:
            raise UserError(f"{shown(x.shape)} has one index for each row: got {shown(np.shape(indices))}.")
        return zeros(x.shape[:1])

    def take(self, x: np.ndarray, indices: Any) -> np.ndarray:
        return zeros((*np.shape(indices), *x.shape[1:]))

    def matmul(self, x: np.ndarray, w: np.ndarray, mask: Any = None) -> np.ndarray:
        if x.shape[-1] != w.shape[-2]:
            raise UserError(
                f"{shown(x.shape)} @ {shown(w.shape)}: {x.shape[-1]} and {w.shape[-2]} must be equal."
            )
        return zeros((*broadcast("@", x.shape[:-2], w.shape[:-2]), x.shape[-2], w.shape[-1]))


class Named:
    """A component whose errors say which one it is and what it declared; otherwise as it was."""

    def __init__(self, kind: str, component: Any):
        self._kind = kind
        self._component = self.__wrapped__ = component

    def __call__(self, *arguments: Any, **context: Any) -> Any:
        try:
            return self._component(*arguments, **context)
        except UserError as error:
            if str(error).startswith("the model's"):
                raise  # a component inside this one has said it
            raise UserError(self._says(str(error), arguments)) from None
        except (ValueError, TypeError, IndexError) as error:
            raise UserError(self._says(f"{type(error).__name__}: {error}", arguments)) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._component, name)

    def _says(self, problem: str, arguments: tuple[Any, ...]) -> str:
        part: Mapping[str, Tensor] = next((a for a in arguments if isinstance(a, Part)), {})
        declared = ", ".join(f"{n} {shown(w.shape)}" for n, w in part.items())
        given = f" with the weights {declared}" if declared else ""
        return f"the model's {self._kind} {type(self._component).__name__} does not work{given}: {problem}"


def try_shapes(definition: GPT, ops: OpTable) -> list[str]:
    """Run the model once on shapes; the names of the ops that it applies.

    Raises UserError that names the component, its weights and the shapes.
    """
    trial = definition.with_parts(lambda kind, part: Named(kind, part) if kind in LAYER_KINDS else part)
    arithmetic, logits = on_shapes(trial, ops, causal_context(positions_of(definition)))
    wanted = (positions_of(definition), definition.sizes.vocabSize)
    if logits.shape != wanted:
        raise UserError(f"the model must give logits of {shown(wanted)}, and gives {shown(logits.shape)}.")
    return list(arithmetic.applied)


def penalties_of(definition: GPT, ops: OpTable) -> tuple[str, ...]:
    """The names of the penalties that its components add in training."""
    found: dict[str, Tensor] = {}
    on_shapes(definition, ops, replace(causal_context(positions_of(definition)), penalties=found))
    return tuple(found)


def on_shapes(definition: GPT, ops: OpTable, context: Context) -> tuple[ShapeArithmetic, Tensor]:
    """The logits (T, V) of the context's positions, and what has computed them."""
    arithmetic = ShapeArithmetic(ops)
    tensors = {n: Tensor(zeros(w.shape), arithmetic) for n, w in definition.declared_weights().items()}
    tokens = np.zeros(len(context.positions), dtype=np.int32)
    return arithmetic, definition.logits(tensors, tokens, context)


def positions_of(definition: GPT) -> int:
    return min(POSITIONS, definition.sizes.blockSize)


def broadcast(what: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise UserError(
            f"{what} on shapes that do not fit each other: {' and '.join(map(shown, shapes))}."
        ) from None


def zeros(shape: Any) -> np.ndarray:
    return np.broadcast_to(0.0, tuple(int(n) for n in shape))


def shown(shape: Sequence[int]) -> str:
    return "(" + "x".join(str(n) for n in shape) + ")"
