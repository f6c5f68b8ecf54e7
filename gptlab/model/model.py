"""A model that holds numbers: what `gptlab.create_model` gives to a REPL, a notebook, a test.

With its weights as attributes, `weights.layers[0].attention.query`, and as a table for a notebook.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

import numpy as np

from gptlab.engines.engine import Session, State
from gptlab.model.gpt import GPT, LAYER_KINDS, STANDARD
from gptlab.model.scoped import part_of_weight

LEFT, RIGHT = "text-align:left;padding:1px 12px 1px 0", "text-align:right;padding:1px 12px 1px 0"
BAR = "display:inline-block;height:.7em;background:currentColor;opacity:.35"
WIDTH = 8  # em, of a bar that stands for all


class Model:
    """A GPT with weights, on one engine.

    `params` is the flat list of every number, `weights` the typed view into the same numbers. With
    the scalar engine both hold the same `Value` objects: `model.params[i]` is the entry of its matrix.
    """

    def __init__(self, definition: GPT, session: Session, state: State):
        self.definition = definition
        self.session = session
        self.state = state

    @property
    def weights(self) -> WeightTree:
        return WeightTree(self.state.weights)

    @property
    def params(self) -> list[Any]:
        return flatten(self.state.weights)

    def logits(self, tokens: Sequence[int]) -> np.ndarray:
        """(T,) tokens of one document to (T, V) logits, as numbers."""
        return self.session.logits(self.state, np.asarray(tokens, dtype=np.int32))

    def loss(self, tokens: Sequence[int]) -> Any:
        """The mean cross-entropy in nats of a document `[BOS, w1, ..., wn, BOS]`.

        A `Value` on the scalar engine, so that `model.loss(tokens).backward()` fills `params` with
        gradients; a number on the others. A document longer than blockSize counts up to there.
        """
        row = np.asarray(tokens, dtype=np.int32)[: self.definition.sizes.blockSize + 1]
        if hasattr(self.session, "loss"):
            return self.session.loss(self.state.weights, row)
        total, count = self.session.evaluate(self.state, row[None], np.array([len(row) - 1], dtype=np.int32))
        return total / count

    def __repr__(self) -> str:
        sizes = self.definition.sizes
        return (
            f"Model({len(self.params):,} parameters, nLayer={sizes.nLayer}, nEmbd={sizes.nEmbd}, "
            f"nHead={sizes.nHead}, blockSize={sizes.blockSize}, vocabSize={sizes.vocabSize})"
        )

    def _parts(self, kind: str) -> str:
        """Each that there is of a kind, those of single layers included."""
        layers = [self.definition.in_layer(i) for i in range(len(self.definition.layers))]
        used = [self.definition] if kind not in LAYER_KINDS or kind == "norm" or not layers else []
        return ", ".join(dict.fromkeys(with_changes(getattr(one, kind)) for one in [*used, *layers]))

    def _repr_html_(self) -> str:
        """What a notebook shows: the components by kind, and a table with a row a matrix, in the page's own colours."""
        matrices = self.definition.matrices()
        total = sum(matrix.count for matrix in matrices)
        components = ", ".join(f"{kind} <b>{escape(self._parts(kind))}</b>" for kind in STANDARD)
        rows = []
        for part, group in groupby(matrices, lambda matrix: part_of_weight(matrix.name)):
            own = list(group)
            rows.append(row(part, "", sum(matrix.count for matrix in own), total, heading=True))
            rows += [
                row(m.name.removeprefix(f"{part}."), " × ".join(map(str, m.shape)), m.count, total)
                for m in own
            ]
        heads = "".join(
            f'<th style="{style}">{text}</th>'
            for text, style in (("part", LEFT), ("shape", RIGHT), ("parameters", RIGHT), ("share", LEFT))
        )
        return (
            f"<div><p><code>{escape(repr(self))}</code><br>{components}</p>"
            f'<table style="border-collapse:collapse"><thead><tr>{heads}</tr></thead>'
            f"<tbody>{''.join(rows)}{row('total', '', total, total, heading=True)}</tbody></table></div>"
        )


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
    tree = WeightTree(arrays)
    if not all(map(str.isdigit, tree)):
        return tree
    return tuple(vars(tree)[number] for number in sorted(tree, key=int))


def describe(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return f"{name}[{len(value)}]"
    return name if isinstance(value, WeightTree) else f"{name} {'x'.join(map(str, value.shape))}"


def flatten(arrays: Mapping[str, Any]) -> list[Any]:
    """Every entry in the order of `params`: matrix by matrix, row by row."""
    return [entry for array in arrays.values() for entry in np.asarray(array).flat]


def with_changes(component: object) -> str:
    """Its class, and those of its fields that are not as they are by default."""
    if not dataclasses.is_dataclass(component):
        return type(component).__name__
    changed = [
        f"{field.name}={getattr(component, field.name)!r}"
        for field in dataclasses.fields(component)
        if getattr(component, field.name) != field.default
    ]
    return type(component).__name__ + (f"({', '.join(changed)})" if changed else "")


def row(name: str, shape: str, count: int, total: int, heading: bool = False) -> str:
    share = count / max(1, total)
    tag, indent = ("th", "") if heading else ("td", ";padding-left:1.5em")
    bar = f'<span style="{BAR};width:{WIDTH * share:.2f}em"></span> {share:.1%}'
    cells = ((escape(name), LEFT + indent), (shape, RIGHT), (f"{count:,}", RIGHT), (bar, LEFT))
    return "<tr>" + "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell, style in cells) + "</tr>"
