"""The two censuses of a step, its nodes fused and one an operation, and the memory of each."""

from __future__ import annotations

from dataclasses import dataclass

from gptlab.engines.scalar import ScalarSession
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values
from gptlab.errors import UserError
from gptlab.graph.census import Census, bytes_of_graph, census_of_step
from gptlab.graph.labels import Labels, labelled_session
from gptlab.graph.number import Trace, place_in_weight, trace_number
from gptlab.graph.step import Step
from gptlab.optim.optimizers import SGD

MOST_NODES = 4_000_000  # of the graph of one document, or of the one to follow a number in: about a gigabyte


@dataclass(frozen=True)
class Counted:
    """A census and the bytes of its graph: measured on the first document, for the others in proportion."""

    census: Census
    bytes: float


def counted_step(step: Step) -> tuple[Counted, Counted | None]:
    """Fused, and one node an operation; None instead of the latter where it would not fit into memory."""
    fused = counted(step, fuse=True)
    if fused.census.unfused / len(step.documents) > MOST_NODES:
        return fused, None
    return fused, counted(step, fuse=False)


def counted(step: Step, fuse: bool) -> Counted:
    labels = Labels()
    session = labelled_session(step.definition, SGD(), step.ops, fuse, labels)
    weights = {name: as_values(array) for name, array in step.weights.items()}
    alike = not (fuse and step.ops.standard("add", "mul"))  # which takes seconds a document
    census = census_of_step(session, labels, weights, step.documents, alike)
    labels.forget()
    first = step.documents[0]
    if len(step.documents) > 1:
        of_first = census_of_step(session, labels, weights, [first]).total
        labels.forget()
    else:
        of_first = census.total
    plain = ScalarSession(step.definition, SGD(), ScalarArithmetic(step.ops, fuse))
    return Counted(census, bytes_of_graph(plain, weights, first) * census.total / of_first)


def traced_number(step: Step, name: str, indices: tuple[int, ...]) -> Trace:
    """The number of a weight, followed through the whole batch's graph."""
    labels = Labels()
    session = labelled_session(step.definition, SGD(), step.ops, step.fuse, labels)
    weights = {key: as_values(array) for key, array in step.weights.items()}
    return trace_number(session, labels, weights, step.tokens, step.lengths, name, indices)


def checked(step: Step, param: str | None) -> tuple[str, tuple[int, ...]] | None:
    """The weight and the indices that `layers.0.attention.query[3,5]` names.

    Raises UserError for a name or a place that there is not, and if there is nothing to fuse (ops are
    swapped, or the engine says so) and the graph would not fit into memory.
    """
    shapes = {name: array.shape for name, array in step.weights.items()}
    place = None if param is None else place_in_weight(param, shapes)
    standard = step.ops.standard("add", "mul")
    if not standard or not (param is None or step.fuse):
        check_size(operations_of(step) * (1 if param is None else len(step.documents)))
    return place


def operations_of(step: Step) -> int:
    """About how many nodes a document's graph has with one for each product and sum: a lower bound."""
    positions = max(len(document) - 1 for document in step.documents)
    embeddings = sum(a.size for n, a in step.weights.items() if n.endswith("Embedding"))
    return 2 * positions * (sum(array.size for array in step.weights.values()) - embeddings)


def check_size(nodes: int) -> None:
    if nodes > MOST_NODES:
        raise UserError(
            f"a graph with a node for each product and sum must have at most {MOST_NODES:,} nodes: this one "
            f"would have more than {nodes:,}. Try a shorter text=, a smaller model.nEmbd, train.batchSize=1, or "
            "leave add and mul as they are, and the engine fused."
        )
