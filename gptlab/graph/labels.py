"""Which part of a model made each Value of its graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.value import Entry, Node, Value
from gptlab.engines.engine import Definition, Optimizer
from gptlab.engines.scalar import ScalarSession
from gptlab.engines.scalar_arithmetic import ScalarArithmetic
from gptlab.model.gpt import GPT
from gptlab.model.scoped import LOSS, scoped
from gptlab.model.trains_others import TrainsOthers


class Labels:
    """The part of each Value that was made while it was watched, in the order of making.

    Parts are named as `model.scoped` names them.
    """

    def __init__(self) -> None:
        self._of: dict[Value, str] = {}
        self._part = LOSS

    def __getitem__(self, value: Value) -> str:
        return self._of.get(value, LOSS)

    @property
    def values(self) -> list[Value]:
        return list(self._of)

    def outside(self, part: str) -> None:
        """What is made outside of all parts is of this one."""
        self._part = part

    @contextmanager
    def scope(self, part: str) -> Iterator[None]:
        outer, self._part = self._part, part
        try:
            yield
        finally:
            self._part = outer

    def mark(self, made: Any) -> Any:
        """Every Value in an array, and whatever new ones they were made from, is of the present part."""
        of, part = self._of, self._part
        if isinstance(made, np.ndarray) and made.dtype == object:
            ahead = [value for value in made.ravel().tolist() if isinstance(value, Value)]
            while ahead:
                value = ahead.pop()
                if isinstance(value, (Node, Entry)) and value not in of:
                    of[value] = part
                    if isinstance(value, Node):  # a product was made of what had been marked
                        ahead += reversed(value.children)
        return made

    def forget(self) -> None:
        self._of = {}


class LabelledArithmetic(ScalarArithmetic):
    """The scalar engine's arithmetic, of which all that makes Values marks them."""

    def __init__(self, ops: OpTable, fuse: bool, labels: Labels):
        super().__init__(ops, fuse)
        self.labels = labels

    def apply(self, name: str, *xs: Any) -> np.ndarray:
        return self.labels.mark(super().apply(name, *xs))

    def fold(self, name: str, x: np.ndarray, axis: int, mask: Any = None) -> np.ndarray:
        return self.labels.mark(super().fold(name, x, axis, mask))

    def subtract(self, x: Any, y: Any) -> np.ndarray:
        return self.labels.mark(super().subtract(x, y))

    def true_difference(self, x: Any, y: Any) -> np.ndarray:
        return self.labels.mark(super().true_difference(x, y))

    def divide(self, x: Any, y: Any) -> np.ndarray:
        return self.labels.mark(super().divide(x, y))

    def matmul(self, x: np.ndarray, w: np.ndarray, mask: Any = None) -> np.ndarray:
        return self.labels.mark(super().matmul(x, w, mask))


def labelled_session(
    definition: GPT | TrainsOthers, optimizer: Optimizer, ops: OpTable, fuse: bool, labels: Labels
) -> ScalarSession:
    """A session of the scalar engine that builds the same graph as any other, and labels it."""
    if isinstance(definition, TrainsOthers):
        labels.outside(definition.part)
    watched: Definition = scoped(definition, labels.scope)
    return ScalarSession(watched, optimizer, LabelledArithmetic(ops, fuse, labels))
