"""A graph of Values as a picture: data, grad, and on each edge the local gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gptlab.autograd.value import Value
from gptlab.drawing.svg import Link, Node, draw

LEGEND = (
    "On an edge: the derivative of the op by that input.",
    "grad: the derivative of the result by that value.",
)
LONGEST_NAME = 24


def picture(root: Value, names: Mapping[Value, str] | None = None, notes: Sequence[str] = LEGEND) -> str:
    """The SVG of all that `root` was made from, left to right; `grad` is shown as it stands.

    names: of values that have one. Leaves without a name are constants.
    """
    names = names or {}
    values = values_under(root)
    place = {value: i for i, value in enumerate(values)}
    nodes = [node_of(value, names.get(value, ""), value is root) for value in values]
    links = [
        Link(place[child], i, shown(local), f"d {value.op} / d input {k + 1} = {local!r}")
        for i, value in enumerate(values)
        for k, (child, local) in enumerate(zip(value.children, value.local_grads, strict=True))
    ]
    return draw(nodes, links, f"a graph of {len(values)} values", notes)


def node_of(value: Value, name: str, is_root: bool) -> Node:
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    rows = (*((short,) if name else ()), f"data {shown(value.data)}", f"grad {shown(value.grad)}")
    kinds = ("result",) if is_root else ()
    if not value.children:
        kinds = ("named",) if name else ("constant",)
    hint = f"{name or value.op or 'a constant'}: data {value.data!r}, grad {value.grad!r}"
    return Node(rows, value.op, bool(name), kinds, hint)


def values_under(root: Value) -> list[Value]:
    """`root` and all that it was made from, leaves too, each once, children first."""
    found: list[Value] = []
    begun: dict[Value, bool] = {}  # whether all below it is in `found`
    ahead = [root]
    while ahead:
        value = ahead[-1]
        if value in begun:
            ahead.pop()
            if not begun[value]:
                begun[value] = True
                found.append(value)
            continue
        begun[value] = False
        ahead += [child for child in reversed(value.children) if child not in begun]
    return found


def is_small(root: Value, most: int) -> bool:
    """Whether there are at most so many values under it, found without walking over many more."""
    met, ahead = {root}, [root]
    while ahead:
        for child in ahead.pop().children:
            if child not in met:
                met.add(child)
                ahead.append(child)
        if len(met) > most:
            return False
    return True


def shown(number: float) -> str:
    return f"{number + 0.0:.4g}"  # + 0.0: of -0 a reader learns nothing
