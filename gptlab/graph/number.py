"""One number of a weight: where it goes in a step's graph, its gradient, and whether that is right."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gptlab.autograd.picture import shown
from gptlab.autograd.value import Value, topological_order
from gptlab.drawing.svg import Link, Node, draw
from gptlab.engines.scalar import ScalarSession
from gptlab.engines.scalar_arithmetic import as_values
from gptlab.errors import UserError, nearest
from gptlab.graph.census import MOST_NODES
from gptlab.graph.labels import Labels, labelled_session
from gptlab.model.component import Shape
from gptlab.optim.optimizers import SGD

if TYPE_CHECKING:
    from gptlab.graph.step import Step

STEP = 1e-5  # of the central difference, times the number's size where that is above 1
PATTERN = re.compile(r"([^\[\]\s]+)\s*\[\s*([^\[\]]*?)\s*\]")


@dataclass(frozen=True)
class Use:
    """A node that a value goes into: d node / d value, and the gradient that this way brings."""

    node: Value
    part: str
    local_grad: float

    @property
    def brings(self) -> float:
        return self.local_grad * self.node.grad


@dataclass(frozen=True)
class Trace:
    """uses: the nodes made of the number itself, in the order of making; what they bring adds up to its gradient.

    heaviest: from the number to the loss, always on by the use that brings most. reached: how many nodes of
    each part depend on it. loss: of the step. difference: the gradient by a central difference.
    """

    name: str
    value: float
    gradient: float
    uses: list[Use]
    heaviest: list[Use]
    reached: Counter[str]
    nodes: Counter[str]
    loss: float
    difference: float
    step: float


def place_in_weight(text: str, shapes: Mapping[str, Shape]) -> tuple[str, tuple[int, ...]]:
    """`layers.0.attention.query[3,5]` as the weight's name and the indices.

    Raises UserError for what reads otherwise, a name of no weight, and indices that are not in it.
    """
    match = PATTERN.fullmatch(text.strip())
    name = match[1] if match else text.strip().partition("[")[0]
    if name not in shapes:
        close = nearest(name, shapes) or list(shapes)[:24]
        raise UserError(
            f"param must be a number of a weight: there is none named '{name}'. Try {', '.join(close)}."
        )
    shape = shapes[name]
    size = " x ".join(map(str, shape))
    example = f"param={name}[{','.join(str(n // 2) for n in shape)}]"
    words = [word.strip() for word in match[2].split(",")] if match else []
    if len(words) != len(shape) or not all(word.isdecimal() for word in words):
        raise UserError(
            f"param must name one number, counted from 0: got '{text}', and {name} is {size}. Try {example}."
        )
    indices = tuple(int(word) for word in words)
    if any(i >= n for i, n in zip(indices, shape, strict=True)):
        largest = ",".join(str(n - 1) for n in shape)
        raise UserError(
            f"param must be within the weight: {name} is {size}, so that the last number is {name}[{largest}]; "
            f"got '{text}'."
        )
    return name, indices


def traced_number(step: Step, name: str, indices: tuple[int, ...]) -> Trace:
    """Builds the graph of the whole batch's loss and follows one number of a weight through it."""
    labels = Labels()
    session = labelled_session(step.definition, SGD(), step.ops, step.fuse, labels)
    weights = {key: as_values(array) for key, array in step.weights.items()}
    loss = session.batch_loss(weights, step.tokens, step.lengths, step.drawing)
    loss.backward()
    number: Value = weights[name][indices]
    uses: dict[Value, list[Use]] = {number: []}
    every: Counter[str] = Counter()
    reached: Counter[str] = Counter()
    for value in topological_order(loss):
        part = labels[value]
        every[part] += 1
        found = [
            (child, local)
            for child, local in zip(value.children, value.local_grads, strict=True)
            if child in uses
        ]
        if found:
            uses[value] = []
            reached[part] += 1
            for child, local in found:
                uses[child].append(Use(value, part, local))
    order = {value: i for i, value in enumerate(labels.values)}
    apart = STEP * max(1.0, abs(number.data))
    return Trace(
        f"{name}[{','.join(map(str, indices))}]",
        number.data,
        number.grad,
        sorted(uses[number], key=lambda use: order.get(use.node, len(order))),
        heaviest_path(number, uses),
        reached,
        every,
        loss.data,
        central_difference(session, step, name, indices, apart),
        apart,
    )


def heaviest_path(number: Value, uses: Mapping[Value, list[Use]]) -> list[Use]:
    path = []
    at = number
    while uses[at]:
        path.append(max(uses[at], key=lambda use: abs(use.brings)))
        at = path[-1].node
    return path


def central_difference(
    session: ScalarSession, step: Step, name: str, indices: tuple[int, ...], apart: float
) -> float:
    """(loss(w + apart) - loss(w - apart)) / (2 apart), computed forward only, with the model's own ops."""
    losses = []
    for shift in (apart, -apart):
        numbers = {key: np.array(array, dtype=float) for key, array in step.weights.items()}
        numbers[name][indices] += shift
        losses.append(float(session.batch_loss(numbers, step.tokens, step.lengths, step.drawing)))
    return (losses[0] - losses[1]) / (2 * apart)


def checked(step: Step, param: str | None) -> tuple[str, tuple[int, ...]] | None:
    """The weight and the indices that `layers.0.attention.query[3,5]` names.

    Raises UserError for a name or a place that there is not, and if there is nothing to fuse (ops are
    swapped, or the engine says so) and the graph would not fit into memory.
    """
    shapes = {name: array.shape for name, array in step.weights.items()}
    place = None if param is None else place_in_weight(param, shapes)
    standard = step.ops.standard("add", "mul")
    if not standard or not (param is None or step.fuse):
        nodes = operations_of(step) * (1 if param is None else len(step.documents))
        if nodes > MOST_NODES:
            raise UserError(
                f"a graph with a node for each product and sum must have at most {MOST_NODES:,} nodes: this one "
                f"would have more than {nodes:,}. Try a shorter text=, a smaller model.nEmbd, train.batchSize=1, or "
                "leave add and mul as they are, and the engine fused."
            )
    return place


def operations_of(step: Step) -> int:
    """About how many nodes a document's graph has with one for each product and sum: a lower bound."""
    positions = max(len(document) - 1 for document in step.documents)
    return 2 * positions * sum(a.size for name, a in step.weights.items() if not name.endswith("Embedding"))


NOTES = (
    "On an edge: the derivative of the op by that input. grad: the derivative of the loss by that value.",
    "At each node the way goes on by the use that brings most.",
)


def path_picture(trace: Trace) -> str:
    """The SVG of `trace.heaviest`, the number first, the loss last."""
    value = shown(trace.value), shown(trace.gradient)
    nodes = [Node((trace.name, f"data {value[0]}", f"grad {value[1]}"), titled=True, kinds=("named",))]
    links = []
    for use in trace.heaviest:
        is_last = use is trace.heaviest[-1]
        others = len(use.node.children) - 1
        rows = (
            "loss" if is_last else use.part,
            f"data {shown(use.node.data)}",
            f"grad {shown(use.node.grad)}",
            *((f"{others:,} other input{'' if others == 1 else 's'}",) if others else ()),
        )
        hint = f"{use.node.op} in {use.part}: data {use.node.data!r}, grad {use.node.grad!r}"
        links.append(
            Link(len(nodes) - 1, len(nodes), shown(use.local_grad), f"local gradient {use.local_grad!r}")
        )
        nodes.append(Node(rows, use.node.op, True, ("result",) if is_last else (), hint))
    return draw(nodes, links, f"the way of {trace.name} to the loss", NOTES)
