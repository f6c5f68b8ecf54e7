"""In which order what stands in one column stands: such that few lines cross."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

SWEEPS = 16

Columns = list[list[int]]
Links = Sequence[tuple[int, int]]


def ordered(column_of: Sequence[int], links: Links) -> Columns:
    """The vertices of each column from the top down; links go from a column to the next one.

    Each is moved towards the mean place of those it is linked to, column by column there and back
    (Sugiyama, Tagawa, Toda 1981); the order with the fewest crossings is kept.
    """
    before: list[list[int]] = [[] for _ in column_of]
    after: list[list[int]] = [[] for _ in column_of]
    for a, b in links:
        before[b].append(a)
        after[a].append(b)
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


def first_order(column_of: Sequence[int], before: Sequence[Sequence[int]]) -> Columns:
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
