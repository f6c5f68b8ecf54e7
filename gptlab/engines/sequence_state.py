"""What a component may carry along the positions of a document: what was `behind`, and the state of a `scan`.

Training has a row's positions at once, and several documents may share it; generation has one position after the other.
Both start anew where a document starts, position 0, and not where the row does. Legend: T positions of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError

Tree = Any  # a Tensor, or a tuple, list or dict of trees
# Past.advance: (the state at the start, state -> (state after these positions, result)) -> result
Advance = Callable[[list[Tensor], Callable[[list[Tensor]], tuple[list[Tensor], Any]]], Any]
Step = Callable[..., tuple[Tree, Tree]]


def behind(positions: Any, advance: Advance, x: Tensor, k: int) -> Tensor:
    """x (T, ...) of the position k before each; see Context.behind."""
    away = distance(k)
    check_rows("behind", positions, x)
    begun = (positions >= away).reshape(-1, *[1] * (x.ndim - 1))

    def shift(last: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        rows = last[0].concatenate(x, axis=0)
        return [rows[-away:]], rows[:-away]

    moved: Tensor = advance([x.constant(np.zeros((away, *x.shape[1:])))], shift)
    # In a row that documents share, what stands k places before may be the neighbour's.
    return moved.where(begun, 0.0)


def scan(positions: Any, advance: Advance, step: Step, start: Tree, xs: Sequence[Tensor]) -> Tree:
    """`step` at each position in turn; see Context.scan."""
    if not xs:
        raise UserError(
            "scan goes over the positions of one Tensor at least: got none. Try scan(step, start, x)."
        )
    for x in xs:
        check_rows("scan", positions, x)
    arithmetic = xs[0].arithmetic
    first = leaves(start, "the start of a scan")
    begins, whole = where_documents_begin(positions)
    made: list[Tree] = []  # what the last step gave, to know how it is put together

    def one(state: list[Any], begin: Any, row: list[Any]) -> tuple[list[Any], list[Any]]:
        if begin is not None:
            state = [arithmetic.where(begin, a.data, s) for a, s in zip(first, state, strict=True)]
        given = rebuilt(start, iter(Tensor(s, arithmetic) for s in state))
        result = step(given, *(Tensor(r, arithmetic) for r in row))
        if not isinstance(result, tuple) or len(result) != 2:
            raise UserError(f"the step of a scan must return (state, y): got {type(result).__name__}.")
        after, y = result
        check_state(start, after)
        made[:] = [y]
        return [t.data for t in leaves(after, "the state of a scan")], [
            t.data for t in leaves(y, "a scan's y")
        ]

    def through(before: list[Tensor]) -> tuple[list[Tensor], list[Any]]:
        state = [t.data for t in (first if whole else before)]
        ended, ys = arithmetic.scan(one, state, begins, [x.data for x in xs])
        return [Tensor(s, arithmetic) for s in ended], ys

    ys = advance(first, through)
    return rebuilt(made[0], iter(Tensor(y, arithmetic) for y in ys))


def distance(k: Any) -> int:
    try:
        away = 0 if isinstance(k, bool) else index(k)
    except TypeError:
        away = 0
    if away < 1:
        raise UserError(f"behind(x, k) takes a whole number k of at least 1: got k={k!r}. Try behind(x, 1).")
    return away


def check_rows(what: str, positions: Any, x: Any) -> None:
    if not isinstance(x, Tensor) or x.ndim < 1 or x.shape[0] != len(positions):
        got = f"one of {x.shape}" if isinstance(x, Tensor) else type(x).__name__
        raise UserError(
            f"{what} takes Tensors of ({len(positions)}, ...), a row for each position: got {got}."
        )


def where_documents_begin(positions: Any) -> tuple[Any, bool]:
    """(T,) booleans, None where it can be only the first; and whether that is known to be a beginning."""
    if isinstance(positions, np.ndarray) and not (positions[1:] == 0).any():
        return None, bool(positions[0] == 0)
    return positions == 0, False


def check_state(start: Tree, after: Tree) -> None:
    """Raises UserError unless they are made alike: a state whose shape grows has no place in a cache."""
    if shapes(start) != shapes(after):
        raise UserError(
            f"the step of a scan must return a state of the start's shapes: got {shapes(after)} for {shapes(start)}."
        )


def shapes(tree: Tree) -> Any:
    if isinstance(tree, Tensor):
        return tree.shape
    if isinstance(tree, dict):
        return {key: shapes(tree[key]) for key in tree}
    return [shapes(part) for part in tree] if isinstance(tree, tuple | list) else type(tree).__name__


def leaves(tree: Tree, what: str) -> list[Tensor]:
    """The Tensors of a tree, those of a dict in the order of its sorted keys."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key], what)]
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in leaves(part, what)]
    raise UserError(
        f"{what} must be a Tensor, or a tuple or dict of Tensors: got {type(tree).__name__}. "
        "Numbers become a Tensor by x.constant(numbers)."
    )


def rebuilt(tree: Tree, found: Any) -> Tree:
    """A tree made like this one of other Tensors, which come in the order of `leaves`."""
    if isinstance(tree, Tensor):
        return next(found)
    if isinstance(tree, dict):
        return {key: rebuilt(tree[key], found) for key in sorted(tree)}
    return type(tree)([rebuilt(part, found) for part in tree])
