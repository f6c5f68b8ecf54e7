"""The path of a number to the loss as a picture: a node after another."""

from __future__ import annotations

from gptlab.autograd.picture import shown
from gptlab.drawing.svg import Link, Node, draw
from gptlab.graph.number import Trace

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
