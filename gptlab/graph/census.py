"""How many nodes a training step's graph has: of each op, in each part of the model; how deep, how large."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gptlab.autograd.value import Value, topological_order
from gptlab.engines.engine import NamedArrays
from gptlab.engines.scalar import ScalarSession
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values
from gptlab.graph.labels import Labels, labelled_session
from gptlab.optim.optimizers import SGD

if TYPE_CHECKING:
    from gptlab.graph.step import Step


MOST_NODES = 4_000_000  # of the graph of one document, or of the one to follow a number in: about a gigabyte


@dataclass
class Census:
    """nodes: by (part, op), of those that were made. The leaves are apart: `parameters`, those of the
    weights' numbers that the step uses, and `constants`.

    edges: from a node to what it was made from. depth: how many nodes the longest way from the loss
    down to a leaf has. unfused: about how many nodes it would be, one for each addition and product. bytes: of
    the graph; measured on the first document, for the others in proportion.
    """

    nodes: Counter[tuple[str, str]] = field(default_factory=Counter)
    parameters: int = 0
    constants: int = 0
    edges: int = 0
    depth: int = 0
    unfused: int = 0
    bytes: float = 0.0

    @property
    def total(self) -> int:
        return sum(self.nodes.values())

    @property
    def ops(self) -> list[str]:
        """The most frequent first."""
        count: Counter[str] = Counter()
        for (_, op), number in self.nodes.items():
            count[op] += number
        return [op for op, _ in count.most_common()]

    def of(self, part: str | None = None, op: str | None = None) -> int:
        """How many are of this part and op; None means any."""
        return sum(n for (p, o), n in self.nodes.items() if part in (None, p) and op in (None, o))

    def add(self, other: Census) -> None:
        """What stands beside it; the depth is that of the deeper one."""
        self.nodes += other.nodes
        self.constants += other.constants
        self.edges += other.edges
        self.unfused += other.unfused
        self.depth = max(self.depth, other.depth)


def census_of_step(
    session: ScalarSession,
    labels: Labels,
    weights: NamedArrays,
    documents: Sequence[np.ndarray],
    alike: bool = False,
) -> Census:
    """The census of the graph of a batch's loss; documents are BOS, w1, ... as `ScalarSession.loss` takes them.

    They share nothing but the weights, so that they are taken one at a time, and the graph of only one is
    in memory. alike: let documents of one length stand for each other.
    """
    parameters = {value for array in weights.values() for value in array.ravel().tolist()}
    census, used, ends = Census(), set(), []
    known: dict[int, Census] = {}
    for document in documents:
        found = known.get(len(document)) if alike else None
        if found is None:
            labels.forget()
            found, reached = counted(session.document(weights, document).loss, labels, parameters)
            known[len(document)] = found
            used |= reached
        census.add(found)
        ends.append(Value(0.0))
    labels.forget()
    mean, _ = counted(session.mean(np.array(ends, dtype=object)), labels, set(ends))
    mean.depth += census.depth
    census.add(mean)
    census.parameters = len(used)
    return census


def counted(loss: Value, labels: Labels, parameters: Collection[Value]) -> tuple[Census, set[Value]]:
    """The census of one graph, and which of the parameters it reaches."""
    census = Census()
    reached: set[Value] = set()
    constants: set[Value] = set()
    depths: dict[Value, int] = {}
    for value in topological_order(loss):
        children = value.children
        census.nodes[labels[value], value.op] += 1
        census.edges += len(children)
        census.unfused += operations(value.op, len(children))
        below = 0
        for child in children:
            depth = depths.get(child)
            if depth is None:
                (reached if child in parameters else constants).add(child)
            elif depth > below:
                below = depth
        depths[value] = below + 1
    census.constants = len(constants)
    census.depth = max(depths.values(), default=0)
    return census, reached


def operations(op: str, children: int) -> int:
    """What a node that the scalar engine fuses stands for: additions and products, a power in a quotient."""
    if op == "dot":
        return max(children - 1, 1)  # K products, K - 1 sums
    if op == "sum":
        return max(children - 1, 0)
    return 2 if op in ("sub", "div") else 1


def bytes_of_graph(session: ScalarSession, weights: NamedArrays, document: np.ndarray) -> int:
    """What the graph of one document's loss holds in memory: the weights, which were there, aside.

    The difference in what Python has allocated (tracemalloc) before it is built and after.
    """
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        loss = session.document(weights, document).loss
        held = tracemalloc.get_traced_memory()[0] - before
        del loss
        return held
    finally:
        if not tracing:
            tracemalloc.stop()


def counted_step(step: Step) -> tuple[Census, Census | None]:
    """Fused, and one node an operation; None instead of the latter where it would not fit into memory."""
    fused = count_graph(step, fuse=True)
    if fused.unfused / len(step.documents) > MOST_NODES:
        return fused, None
    return fused, count_graph(step, fuse=False)


def count_graph(step: Step, fuse: bool) -> Census:
    labels = Labels()
    session = labelled_session(step.definition, SGD(), step.ops, fuse, labels)
    weights = {name: as_values(array) for name, array in step.weights.items()}
    alike = not (fuse and step.ops.standard("add", "mul"))  # which takes seconds a document
    census = census_of_step(session, labels, weights, step.documents, alike)
    first = step.documents[0]
    of_first = census_of_step(session, labels, weights, [first]) if len(step.documents) > 1 else census
    labels.forget()
    plain = ScalarSession(step.definition, SGD(), ScalarArithmetic(step.ops, fuse))
    census.bytes = bytes_of_graph(plain, weights, first) * census.total / of_first.total
    return census
