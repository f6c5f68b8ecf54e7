"""At which height what stands in a column stands: near what it is linked to, and apart from its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

APART = 9.0  # pixels between two that stand below each other
ROUNDS = 40
STRAIGHT = 8.0  # how much more two ends of a line that passes a column want to be level


def heights(
    columns: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int]],
    tall: Sequence[float],
    weights: Sequence[float],
    passing: Sequence[bool],
) -> list[float]:
    """The middle of each vertex. tall: how tall each is; weights: how much each insists on its place.

    passing: whether a vertex is a place that a line passes, rather than something that is read.
    """
    before: list[list[int]] = [[] for _ in tall]
    after: list[list[int]] = [[] for _ in tall]
    for a, b in links:
        before[b].append(a)
        after[a].append(b)
    both = [x + y for x, y in zip(before, after, strict=True)]
    ys = [0.0] * len(tall)
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
            places = apart(wished, [tall[v] for v in column], [weights[v] for v in column])
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
