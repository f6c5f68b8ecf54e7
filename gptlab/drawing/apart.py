"""Places for labels that must not overlap, each as near as can be to what it is a label of."""

from __future__ import annotations

from collections.abc import Sequence


def apart(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Places in the order of `wanted`, which ascends: each `least` above the one before, and within low ... high.

    Of all such places those with the smallest sum of squared distances from `wanted`, before they are moved within
    the bounds: neighbours that are too near are spread around their mean. Where there is no room for all they begin
    at `low`, and leave `high`.
    """
    # Less i * least they must not fall: isotonic regression, by pooling what does.
    blocks: list[tuple[float, int]] = []
    for i, place in enumerate(wanted):
        total, count = place - i * least, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            total, count = total + blocks[-1][0], count + blocks.pop()[1]
        blocks.append((total, count))
    top = max(low, high - (len(wanted) - 1) * least)
    means = [min(top, max(low, total / count)) for total, count in blocks for _ in range(count)]
    return [mean + i * least for i, mean in enumerate(means)]
