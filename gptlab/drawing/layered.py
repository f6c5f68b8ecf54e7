"""Where the boxes of a drawn graph stand: in columns, left to right (Sugiyama, Tagawa, Toda 1981).

A box stands as far to the right as those that it leads to allow. Between two columns of boxes is one of
labels, an edge's each; an edge that goes further passes through places of its own, which the edges of one
box share. Labels and such places are kept apart like boxes, so that nothing lies upon anything. Lengths
are in pixels, y grows downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gptlab.drawing.heights import heights
from gptlab.drawing.ordering import ordered

MARGIN = 16.0
GAP = 20.0  # between two columns at least
STEEP = 0.22  # of the largest difference in height, by which a gap is wider
WIDEST = 96.0
LABEL_HEIGHT, PASSING_HEIGHT = 17.0, 7.0
LABEL_WEIGHT, PASSING_WEIGHT = 2.0, 6.0


@dataclass(frozen=True)
class Edge:
    """From one box to another one, both by their place in the list of boxes; its label so wide."""

    source: int
    target: int
    label_width: float


@dataclass(frozen=True)
class Line:
    """From (x, y) to (to_x, to_y), both level at their ends; bends between bend and to_bend."""

    x: float
    y: float
    bend: float
    to_bend: float
    to_x: float
    to_y: float


@dataclass(frozen=True)
class Layout:
    """boxes: the left side and the middle height of each. labels: the middle of each edge's."""

    width: float
    height: float
    boxes: list[tuple[float, float]]
    labels: list[tuple[float, float]]
    lines: list[Line]


@dataclass
class Vertices:
    """Boxes, labels and passing places alike: what stands in columns."""

    widths: list[float] = field(default_factory=list)
    tall: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)
    links: list[tuple[int, int]] = field(default_factory=list)  # each to the next column

    def add(self, width: float, height: float, weight: float, column: int) -> int:
        self.widths.append(width)
        self.tall.append(height)
        self.weights.append(weight)
        self.columns.append(column)
        return len(self.widths) - 1


def lay_out(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge]) -> Layout:
    """Boxes of these (width, height), each after all that lead to it, and the edges between them."""
    ranks = ranked(len(sizes), edges)
    vertices = Vertices()
    for (width, height), rank in zip(sizes, ranks, strict=True):
        vertices.add(width, height, 1.0, 2 * rank)
    labels = linked(vertices, ranks, edges)
    columns = ordered(vertices.columns, vertices.links)
    read = {*range(len(sizes)), *labels}
    passing = [i not in read for i in range(len(vertices.tall))]
    ys = heights(columns, vertices.links, vertices.tall, vertices.weights, passing)
    top = min((y - tall / 2 for y, tall in zip(ys, vertices.tall, strict=True)), default=0.0)
    ys = [y - top + MARGIN for y in ys]
    lefts, rights = extents(columns, vertices, ys)
    xs = [
        lefts[column] + (rights[column] - lefts[column] - width) / 2
        for column, width in zip(vertices.columns, vertices.widths, strict=True)
    ]
    lines = [
        Line(
            xs[a] + vertices.widths[a],
            ys[a],
            rights[vertices.columns[a]],
            lefts[vertices.columns[b]],
            xs[b],
            ys[b],
        )
        for a, b in vertices.links
    ]
    # A passing place is a line itself.
    for i, passes in enumerate(passing):
        if passes:
            right = xs[i] + vertices.widths[i]
            lines.append(Line(xs[i], ys[i], xs[i], right, right, ys[i]))
    bottom = max((y + tall / 2 for y, tall in zip(ys, vertices.tall, strict=True)), default=0.0)
    return Layout(
        (rights[-1] if rights else 0.0) + MARGIN,
        bottom + MARGIN,
        [(xs[i], ys[i]) for i in range(len(sizes))],
        [(xs[i] + vertices.widths[i] / 2, ys[i]) for i in labels],
        lines,
    )


def ranked(count: int, edges: Sequence[Edge]) -> list[int]:
    """The column of boxes that each stands in, 0 the leftmost."""
    from_right = [0] * count
    by_source: list[list[int]] = [[] for _ in range(count)]
    for edge in edges:
        by_source[edge.source].append(edge.target)
    for source in reversed(range(count)):
        from_right[source] = max((from_right[target] + 1 for target in by_source[source]), default=0)
    last = max(from_right, default=0)
    return [last - rank for rank in from_right]


def linked(vertices: Vertices, ranks: Sequence[int], edges: Sequence[Edge]) -> list[int]:
    """The vertices of the edges' labels; what an edge passes on its way is added and linked besides."""
    passing: dict[tuple[int, int], int] = {}
    labels = []
    for edge in edges:
        before = 2 * ranks[edge.target] - 1
        at = edge.source
        for column in range(2 * ranks[edge.source] + 1, before):
            key = (edge.source, column)
            if key not in passing:
                passing[key] = vertices.add(0.0, PASSING_HEIGHT, PASSING_WEIGHT, column)
                vertices.links.append((at, passing[key]))
            at = passing[key]
        label = vertices.add(edge.label_width, LABEL_HEIGHT, LABEL_WEIGHT, before)
        vertices.links += [(at, label), (label, edge.target)]
        labels.append(label)
    return labels


def extents(
    columns: Sequence[Sequence[int]], vertices: Vertices, ys: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The left and the right side of each column; a passing place becomes as wide as its column."""
    steepest = [0.0] * len(columns)
    for a, b in vertices.links:
        steepest[vertices.columns[a]] = max(steepest[vertices.columns[a]], abs(ys[a] - ys[b]))
    lefts, rights = [], []
    x = MARGIN
    for column, inside in enumerate(columns):
        width = max(vertices.widths[i] for i in inside)
        for i in inside:
            if vertices.widths[i] == 0.0:
                vertices.widths[i] = width
        lefts.append(x)
        rights.append(x + width)
        x += width + min(WIDEST, GAP + STEEP * steepest[column])
    return lefts, rights
