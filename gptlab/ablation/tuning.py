"""The choice of the tuned values: the best of a grid, whether it is at its edge, how much the loss depends on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gptlab.ablation.result import Tuning
from gptlab.sweeps.values import in_order, numbers

Point = tuple[Mapping[str, str], float | None]
BEYOND = 2  # values that a wider grid has beyond its edge


def tuning_of(points: Sequence[Point]) -> Tuning:
    """Of (values by key, mean loss), None where a run broke down. best is empty if all did.

    sensitivity: how much the loss rises a factor of two away from the best value, in nats, on straight lines in
    log(value) between those tried; of each key both sides, as far as the grid goes, and of these the mean. A
    value that broke down counts as the worst loss of those that did not, so that it is then more than this, if
    anything. None for a grid of names, for one that ends before a factor of two, and where all other values
    broke down.
    """
    points = list(points)
    good = [point for point in points if point[1] is not None]
    if not good:
        return Tuning(points, {})
    best = min(good, key=lambda point: point[1] if point[1] is not None else math.inf)[0]
    worst = max(loss for _, loss in good if loss is not None)
    rises = [rise for key in best for rise in rises_beside(along(points, best, key), float(worst), best[key])]
    sensitivity = float(np.mean(rises)) if rises and len(good) > 1 else None
    return Tuning(points, best, wider(points, best), sensitivity)


def along(points: Sequence[Point], best: Mapping[str, str], key: str) -> dict[str, float | None]:
    """The losses by the values of one key, all others at their best; ascending if these are numbers."""
    line = {
        values[key]: loss
        for values, loss in points
        if all(values[other] == best[other] for other in best if other != key)
    }
    return {value: line[value] for value in sorted(line, key=float)} if numbers(line) else line


def rises_beside(line: Mapping[str, float | None], worst: float, best: str) -> list[float]:
    """What the loss is above the best one's at half and at twice the value, where these are within the grid."""
    values = numbers(line)
    if values is None or len(values) < 2 or values[0] <= 0:
        return []
    places = np.log2(values)
    losses = [worst if loss is None else loss for loss in line.values()]
    at = list(line).index(best)
    beside = [
        place for place in (places[at] - 1, places[at] + 1) if places[0] - 1e-9 <= place <= places[-1] + 1e-9
    ]
    return [float(np.interp(place, places, losses)) - losses[at] for place in beside]


def wider(points: Sequence[Point], best: Mapping[str, str]) -> str:
    """What to type for a grid that goes on where the best value is the last; empty if each is within."""
    grids = {key: list(along(points, best, key)) for key in best}
    further = {key: [*values, *beyond(values, best[key])] for key, values in grids.items()}
    if further == grids:
        return ""
    texts = [f"{key}={typed(values)}" for key, values in further.items()]
    return f"tune='{texts[0]}'" if len(texts) == 1 else f"tune='[{', '.join(texts)}]'"


def beyond(values: Sequence[str], best: str) -> list[str]:
    """The next values on the side where the best is the last, as far apart as those there; none if the best is
    within, or where values are names, or nothing above 0 follows."""
    found = numbers(values)
    if found is None or len(found) < 2 or best not in (values[0], values[-1]):
        return []
    grid = np.array(found)
    if grid.min() >= 0.5 and grid.max() < 1:  # 0.9, 0.99: what they lack to 1 is spaced
        grid, back = np.log(1 - grid), lambda place: 1 - math.exp(place)
    elif grid.min() > 0 and not (is_even(grid) and len(grid) > 2 and best == values[-1]):
        grid, back = np.log(grid), math.exp
    else:
        back = float
    last, step = (grid[0], grid[0] - grid[1]) if best == values[0] else (grid[-1], grid[-1] - grid[-2])
    further = [back(float(last + i * step)) for i in range(1, BEYOND + 1)]
    whole = all(value.is_integer() for value in found)
    digits = 3 if back is math.exp else 6
    texts = dict.fromkeys(f"{value:.0f}" if whole else f"{value:.{digits}g}" for value in further)
    return [text for text in texts if float(text) > 1e-12 or found[0] < 0]


def is_even(grid: np.ndarray) -> bool:
    steps = np.diff(grid)
    return bool(np.ptp(steps) <= 0.02 * abs(steps.mean()))


def typed(values: Sequence[str]) -> str:
    """As `tune` takes it: `log(low,high,n)` or `linear(low,high,n)` for numbers evenly apart, else each value."""
    found = numbers(values)
    if found is None or len(found) < 3 or all(value.is_integer() for value in found):
        return ",".join(in_order(list(values)))
    ordered = in_order(list(values))
    grid = np.sort(found)
    ends = f"({ordered[0]},{ordered[-1]},{len(ordered)})"
    if grid[0] > 0 and is_even(np.log(grid)):
        return f"log{ends}"
    return f"linear{ends}" if is_even(grid) else ",".join(ordered)
