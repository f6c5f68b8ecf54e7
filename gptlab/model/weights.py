"""The typed view of a model's numbers: `weights.layers[0].attention.query`, and the flat list of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class WeightTree:
    """Named arrays as attributes; numbered names (`layers.0`, `layers.1`) as a tuple.

    A view: nothing is copied. In the scalar engine the arrays hold Values, in the others numbers.
    """

    def __init__(self, arrays: Mapping[str, Any]):
        branches: dict[str, Any] = {}
        for name, array in arrays.items():
            head, _, rest = name.partition(".")
            if rest:
                branches.setdefault(head, {})[rest] = array
            else:
                branches[head] = array
        for head, branch in branches.items():
            setattr(self, head, subtree(branch) if isinstance(branch, dict) else branch)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no weight '{name}' here; there are {', '.join(vars(self))}")

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    def __repr__(self) -> str:
        return f"WeightTree({', '.join(describe(name, value) for name, value in vars(self).items())})"


def subtree(arrays: dict[str, Any]) -> Any:
    heads = {name.partition(".")[0] for name in arrays}
    if not all(head.isdigit() for head in heads):
        return WeightTree(arrays)
    return tuple(
        WeightTree({n.removeprefix(f"{i}."): a for n, a in arrays.items() if n.startswith(f"{i}.")})
        for i in range(len(heads))
    )


def describe(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return f"{name}[{len(value)}]"
    return name if isinstance(value, WeightTree) else f"{name} {'x'.join(map(str, value.shape))}"


def flatten(arrays: Mapping[str, Any]) -> list[Any]:
    """Every entry in the order of `params`: matrix by matrix, row by row."""
    return [entry for array in arrays.values() for entry in np.asarray(array).flat]
