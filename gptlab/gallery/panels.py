"""What an entry's picture is to show, a panel each: its spec. drawing.py draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gptlab.errors import UserError, unknown_name
from gptlab.gallery.measures import Measure
from gptlab.gallery.reading import check_keys, kind_in, number_of, sequence, text_of

CURVES, DIFFERENCES, GRID, SIZES, BARS = "curves", "differences", "grid", "sizes", "bars"
KINDS = (CURVES, DIFFERENCES, GRID, SIZES, BARS)
SCALES = ("log", "linear")


@dataclass(frozen=True)
class Panel:
    """kind: CURVES: a metric by step, a line an arm. DIFFERENCES: a measure of each arm less that of the first one, a
    point a seed, with the mean's interval. GRID: a measure by the value of the grid, a line an arm. SIZES: a
    measure by the number of parameters, a point an arm. BARS: measures, side by side, of each arm.

    names: of the metric, or of measures. title: above it. y: log, or linear. top: the highest value shown. lines:
    values that are marked across, by their names. floor: of SIZES, what is taken off each loss.
    """

    kind: str
    names: tuple[str, ...]
    title: str = ""
    y: str = "linear"
    top: float | None = None
    lines: Mapping[str, float] | None = None
    floor: float = 0.0
    x: str = "linear"


def panel_of(given: Mapping[str, Any], measures: Mapping[str, Measure], has_grid: bool) -> Panel:
    """Raises UserError."""
    kind = kind_in(given, KINDS, "a panel")
    floors = ["floor"] if kind == SIZES else []
    check_keys(given, [kind, "title", "y", "x", "top", "lines", *floors], f"a panel of {kind}")
    names = tuple(sequence(given[kind], kind)) if kind == BARS else (text_of(given[kind], kind),)
    for name in names:
        if kind != CURVES and name not in measures:
            raise unknown_name("measure", str(name), measures)
    if kind == GRID and not has_grid:
        raise UserError("a panel of a grid needs a grid: there is none.")
    for axis in ("x", "y"):
        if given.get(axis, "linear") not in SCALES:
            raise unknown_name(f"scale of {axis}", str(given[axis]), SCALES)
    lines = given.get("lines")
    if lines is not None and not isinstance(lines, dict):
        raise UserError(f"lines must be names with their values: got {lines}.")
    return Panel(
        kind,
        names,
        text_of(given.get("title", ""), "title"),
        given.get("y", "linear"),
        None if given.get("top") is None else number_of(given["top"], "top"),
        None if lines is None else {str(name): number_of(value, name) for name, value in lines.items()},
        number_of(given.get("floor", 0), "floor"),
        given.get("x", "linear"),
    )
