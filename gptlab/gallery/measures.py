"""What is read of one run: a number, of the rows that it has logged.

A run that broke down, or has not got that far, has none: NaN. Where a threshold is never passed the first step is
infinity, so that "later than" holds of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptlab.errors import UserError, require, unknown_name
from gptlab.gallery.reading import check_keys, kind_in, number_of, sequence, text_of
from gptlab.training.metric_rows import Metrics

Points = list[tuple[int, float]]
HIGHER, LOWER = "higher", "lower"
PARAMETERS = "parameters"
# Each kind with the keys that it takes beside its own.
KINDS: Mapping[str, tuple[str, ...]] = {
    "last": (),
    "lowest": (),
    "highest": (),
    "at": ("of",),
    "first": ("above", "below"),
    "fall": ("within",),
    "difference": (),
    "ratio": (),
    "fact": (),
}


@dataclass(frozen=True)
class Measure:
    """kind: of KINDS. metrics: the metric's name, as val/loss; of difference and ratio two measures'. number: the step
    of `at`, the threshold of `first`, the steps of `fall`. above: whether `first` waits for more, or for less. better:
    whether higher or lower ones are, by which the best of a grid is chosen."""

    name: str
    kind: str
    metrics: tuple[str, ...]
    number: float = 0.0
    above: bool = False
    better: str = LOWER

    @property
    def words(self) -> str:
        """What it is, for a person: `val/loss, last`."""
        name, number = self.metrics[0], f"{self.number:g}"
        return {
            "last": f"{name}, last",
            "lowest": f"{name}, lowest",
            "highest": f"{name}, highest",
            "at": f"{name} at step {number}",
            "first": f"first step with {name} {'above' if self.above else 'below'} {number}",
            "fall": f"largest fall of {name} within {number} steps",
            "difference": " less ".join(self.metrics),
            "ratio": " over ".join(self.metrics),
            "fact": name,
        }[self.kind]


def measure_of(name: str, given: Mapping[str, Any], before: Mapping[str, Measure]) -> Measure:
    """before: the measures above it in the file, which it may be made of. Raises UserError."""
    what = f"measures.{name}"
    if not name.isidentifier():
        raise UserError(f"a measure is named by one word, without signs: got {name}.")
    kind = kind_in(given, list(KINDS), what)
    check_keys(given, [kind, *KINDS[kind], "better"], what)
    better = given.get("better", HIGHER if kind == "highest" else LOWER)
    if better not in (HIGHER, LOWER):
        raise UserError(f"{what}.better must be {HIGHER} or {LOWER}: got {better}.")
    metrics, number, above = (given[kind],), 0.0, False
    if kind in ("difference", "ratio"):
        metrics = tuple(sequence(given[kind], f"{what}.{kind}"))
        if len(metrics) != 2:
            raise UserError(f"{what}.{kind} is of two measures: got {len(metrics)}.")
        for one in metrics:
            if one not in before:
                raise unknown_name(f"measure above {name}", str(one), before)
    elif kind == "at":
        number, metrics = number_of(given["at"], f"{what}.at"), (given.get("of"),)
        require(f"{what}.at", number, at_least=1, unit="steps", example=500)
    elif kind == "first":
        side = kind_in(given, ("above", "below"), what)
        number, above = number_of(given[side], f"{what}.{side}"), side == "above"
    elif kind == "fall":
        number = number_of(given.get("within"), f"{what}.within")
        require(f"{what}.within", number, at_least=1, unit="steps", example=250)
    elif kind == "fact" and given[kind] != PARAMETERS:
        raise UserError(f"{what}.fact must be {PARAMETERS}: got {given[kind]}.")
    names = tuple(text_of(metric, f"the metric of {what}") for metric in metrics)
    return Measure(name, kind, names, number, above, better)


def measured(
    measures: Mapping[str, Measure], rows: Metrics, whole: bool, parameters: int
) -> dict[str, float]:
    """The number of each measure. whole: whether the run has ended and did not break down."""
    found: dict[str, float] = {PARAMETERS: float(parameters)}
    for name, measure in measures.items():
        found[name] = number_in(measure, rows, whole, found)
    return found


def number_in(measure: Measure, rows: Metrics, whole: bool, found: Mapping[str, float]) -> float:
    if measure.kind == "fact":
        return found[PARAMETERS]
    if measure.kind in ("difference", "ratio"):
        one, two = (found[name] for name in measure.metrics)
        return one - two if measure.kind == "difference" else quotient(one, two)
    points = [(step, row[measure.metrics[0]]) for step, row in rows if measure.metrics[0] in row]
    if not whole or not points:
        return math.nan
    return READ[measure.kind](points, measure)


def last(points: Points, _: Measure) -> float:
    return points[-1][1]


def lowest(points: Points, _: Measure) -> float:
    return min((value for _, value in points if math.isfinite(value)), default=math.nan)


def highest(points: Points, _: Measure) -> float:
    return max((value for _, value in points if math.isfinite(value)), default=math.nan)


def at(points: Points, measure: Measure) -> float:
    """What was logged at that step; NaN if nothing was."""
    return dict(points).get(int(measure.number), math.nan)


def first(points: Points, measure: Measure) -> float:
    passed = (
        step
        for step, value in points
        if (value > measure.number if measure.above else value < measure.number)
    )
    return float(next(passed, math.inf))


def fall(points: Points, measure: Measure) -> float:
    """The most by which a value is below one of at most so many steps before."""
    falls = [
        before - after
        for i, (step, before) in enumerate(points)
        for later, after in points[i + 1 :]
        if later - step <= measure.number
    ]
    return max(falls, default=math.nan)


READ: Mapping[str, Callable[[Points, Measure], float]] = {
    "last": last,
    "lowest": lowest,
    "highest": highest,
    "at": at,
    "first": first,
    "fall": fall,
}


def quotient(one: float, two: float) -> float:
    """NaN for what is no number: 0 over 0, infinity over infinity."""
    if two == 0:
        return math.copysign(math.inf, one) if one and not math.isnan(one) else math.nan
    return one / two
