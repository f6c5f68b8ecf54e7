"""Where the boxes of a drawn graph stand: in columns, left to right (Sugiyama, Tagawa, Toda 1981).

A box stands as far to the right as those that it leads to allow. Between two columns of boxes is one of
labels, an edge's each; an edge that goes further passes through places of its own, which the edges of one
box share. Labels and such places are kept apart like boxes, so that nothing lies upon anything. Lengths
are in pixels, y grows downwards.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

MARGIN = 16.0
GAP = 20.0  # between two columns at least
STEEP = 0.22  # of the largest difference in height, by which a gap is wider
WIDEST = 96.0
LABEL_HEIGHT, PASSING_HEIGHT = 17.0, 7.0
LABEL_WEIGHT, PASSING_WEIGHT = 2.0, 6.0
SWEEPS = 16  # in search of an order in which fewer lines cross
APART = 9.0  # pixels between two that stand below each other
ROUNDS = 40  # in search of heights
STRAIGHT = 8.0  # how much more two ends of a line that passes a column want to be level

Columns = list[list[int]]
Links = list[tuple[int, int]]


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
    weights: list[float] = field(default_factory=list)  # how much each insists on its place
    columns: list[int] = field(default_factory=list)
    links: Links = field(default_factory=list)  # each to the next column

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
    ys = heights(columns, vertices, passing)
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


def extents(columns: Columns, vertices: Vertices, ys: Sequence[float]) -> tuple[list[float], list[float]]:
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


def ordered(column_of: Sequence[int], links: Links) -> Columns:
    """The vertices of each column from the top down; links go from a column to the next one.

    Each is moved towards the mean place of those it is linked to, column by column there and back
    (Sugiyama, Tagawa, Toda 1981); the order with the fewest crossings is kept.
    """
    before, after = neighbours_of(len(column_of), links)
    columns = first_order(column_of, before)
    best, fewest = [list(column) for column in columns], crossings(columns, links)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        backwards = sweep % 2 == 0
        neighbours = after if backwards else before
        for i in reversed(range(len(columns))) if backwards else range(len(columns)):
            place = {v: k for column in columns for k, v in enumerate(column)}
            columns[i].sort(key=lambda v: mean([place[n] for n in neighbours[v]], place[v]))
        count = crossings(columns, links)
        if count < fewest:
            best, fewest = [list(column) for column in columns], count
    return best


def neighbours_of(count: int, links: Links) -> tuple[list[list[int]], list[list[int]]]:
    """Of each vertex those that are linked to it from the column before, and those of the column after."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for a, b in links:
        before[b].append(a)
        after[a].append(b)
    return before, after


def first_order(column_of: Sequence[int], before: list[list[int]]) -> Columns:
    """Each vertex where it is met on the way back from the last ones, an op's inputs in their order."""
    columns: Columns = [[] for _ in range(max(column_of, default=-1) + 1)]
    met: set[int] = set()
    ends = sorted(range(len(column_of)), key=lambda v: -column_of[v])
    for end in ends:
        ahead = [end]
        while ahead:
            vertex = ahead.pop()
            if vertex not in met:
                met.add(vertex)
                columns[column_of[vertex]].append(vertex)
                ahead += reversed(before[vertex])
    return columns


def crossings(columns: Columns, links: Links) -> int:
    """How many pairs of links cross."""
    place = {v: (i, k) for i, column in enumerate(columns) for k, v in enumerate(column)}
    between: list[list[tuple[int, int]]] = [[] for _ in columns]
    for a, b in links:
        between[place[a][0]].append((place[a][1], place[b][1]))
    total = 0
    for pairs in between:
        seen: list[int] = []
        for _, end in sorted(pairs):
            total += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return total


def mean(places: Sequence[int], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def heights(columns: Columns, vertices: Vertices, passing: Sequence[bool]) -> list[float]:
    """The middle of each vertex: near what it is linked to, and apart from its neighbours.

    passing: whether a vertex is a place that a line passes, rather than something that is read.
    """
    before, after = neighbours_of(len(vertices.tall), vertices.links)
    both = [x + y for x, y in zip(before, after, strict=True)]
    ys = [0.0] * len(vertices.tall)
    forth, back = range(len(columns)), range(len(columns) - 1, -1, -1)
    courses = [(back, after), (forth, before)] + [(forth, both), (back, both)] * (ROUNDS // 2)
    for course, neighbours in courses:
        for i in course:
            column = columns[i]
            wished = []
            for v in column:
                pulls = [STRAIGHT if passing[v] and passing[n] else 1.0 for n in neighbours[v]]
                pulled = sum(pull * ys[n] for pull, n in zip(pulls, neighbours[v], strict=True))
                wished.append(pulled / sum(pulls) if pulls else ys[v])
            tall, weights = ([all_of[v] for v in column] for all_of in (vertices.tall, vertices.weights))
            places = apart(wished, tall, weights)
            for v, y in zip(column, places, strict=True):
                ys[v] = y
    return ys


def apart(wished: Sequence[float], tall: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The places, in this order and without overlap, that are nearest to the wished ones (least squares).

    Less what the others above take, that is a non-decreasing row: pool adjacent violators (Ayer et al. 1955).
    """
    offsets, offset = [], 0.0
    for i, height in enumerate(tall):
        offset += (tall[i - 1] + height) / 2 + APART if i else 0.0
        offsets.append(offset)
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for wish, weight, own in zip(wished, weights, offsets, strict=True):
        pool = (wish - own, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    levels = [mean for mean, _, count in pools for _ in range(count)]
    return [level + own for level, own in zip(levels, offsets, strict=True)]
