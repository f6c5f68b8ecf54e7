"""What must hold of the runs: a quantity made of measures, seed by seed, and the interval that it is expected in.

`difference: [loss of squaredrelu, loss of relu]`, `atMost: 0`. Where there is a grid, an operand is the arm's at its
best value of the grid (chosen by the mean over seeds), or `loss of adam at 0.01`, or what `across` says:

bestValue     the value of the grid at the lowest point of a parabola through the best one and its neighbours, in
              log(value)
sensitivity   the mean over the grid of what is lost against the best value, a loss above `ceiling`, and one that broke
              down, counting as `ceiling` (Wortsman et al. 2023)
span          how many decades of the grid are at most `within` above the best
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gptlab.errors import UserError, unknown_name
from gptlab.gallery.measures import Measure
from gptlab.gallery.reading import brief, check_keys, kind_in, number_of, sequence, text_of

OPERAND = re.compile(r"(\w+) of (.+?)(?: at (\S+))?")
KINDS = {"value": 1, "difference": 2, "ratio": 2, "exponent": 3}  # operands; of exponent at least
BEST, BEST_VALUE, SENSITIVITY, SPAN = "best", "bestValue", "sensitivity", "span"
ACROSS = {BEST: "", BEST_VALUE: "", SENSITIVITY: "ceiling", SPAN: "within"}  # and the number that each takes


@dataclass(frozen=True)
class Operand:
    """A measure of an arm. at: the place of a value in the grid; None for what `across` makes of all."""

    measure: Measure
    arm: str
    at: int | None = None


@dataclass(frozen=True)
class Claim:
    """says: in words. least, most: the ends of the interval that is expected; None where it has none.

    floor: what is taken off each loss before an exponent is fitted.
    """

    says: str
    kind: str
    operands: tuple[Operand, ...]
    across: str
    number: float
    least: float | None
    most: float | None
    floor: float = 0.0

    @property
    def expected(self) -> str:
        """`at most -0.01`, `0.2 to 0.5`."""
        if self.least is None:
            return f"at most {self.most:g}"
        return f"at least {self.least:g}" if self.most is None else f"{self.least:g} to {self.most:g}"

    @property
    def is_geometric(self) -> bool:
        """Whether means over seeds are of logarithms, as of a ratio and of a learning rate."""
        return self.kind == "ratio" or (self.kind == "value" and self.across == BEST_VALUE)


def claim_of(
    given: Mapping[str, Any],
    arms: Mapping[str, Any],
    measures: Mapping[str, Measure],
    grid: Sequence[float] | None,
) -> Claim:
    """Raises UserError."""
    says = " ".join(text_of(given.get("says"), "what a claim says").split())
    what = f"the claim '{brief(says)}'"
    kind = kind_in(given, list(KINDS), what)
    across = given.get("across", BEST)
    if across not in ACROSS:
        raise unknown_name(f"across of {what}", str(across), ACROSS)
    if across != BEST and grid is None:
        raise UserError(f"{what} must have a grid to go across: there is none, and across={across}.")
    takes = [ACROSS[across]] if ACROSS[across] else []
    floors = ["floor"] if kind == "exponent" else []
    check_keys(given, ["says", kind, "across", "atLeast", "atMost", *takes, *floors], what)
    operands = tuple(
        operand_of(word, arms, measures, grid)
        for word in ([given[kind]] if kind == "value" else sequence(given[kind], f"{kind} of {what}"))
    )
    if len(operands) < KINDS[kind] or (kind != "exponent" and len(operands) > KINDS[kind]):
        least = " at least" if kind == "exponent" else ""
        raise UserError(f"{kind} of {what} takes{least} {KINDS[kind]} measures: got {len(operands)}.")
    ends = [
        None if key not in given else number_of(given[key], f"{key} of {what}")
        for key in ("atLeast", "atMost")
    ]
    low, high = ends
    if low is None and high is None:
        raise UserError(f"{what} must say what is expected: atLeast, atMost, or both.")
    if low is not None and high is not None and low > high:
        raise UserError(f"{what} must have atLeast below atMost: got {low:g} and {high:g}.")
    number = number_of(given.get(takes[0]), f"{takes[0]} of {what}") if takes else 0.0
    return Claim(says, kind, operands, across, number, low, high, number_of(given.get("floor", 0), "floor"))


def operand_of(
    word: Any, arms: Mapping[str, Any], measures: Mapping[str, Measure], grid: Sequence[float] | None
) -> Operand:
    text = text_of(word, "what a claim is about")
    match = OPERAND.fullmatch(text)
    if match is None:
        raise UserError(f"a claim is about a measure of an arm, such as 'loss of adam': got {brief(text)}.")
    name, arm, at = match.groups()
    if name not in measures:
        raise unknown_name("measure", name, measures)
    if arm not in arms:
        raise unknown_name("arm", arm, arms)
    if at is None:
        return Operand(measures[name], arm)
    places = {f"{value:g}": place for place, value in enumerate(grid or ())}
    try:
        place = places.get(f"{float(at):g}")
    except ValueError:
        place = None
    if place is None:
        raise UserError(f"'{text}' must name a value of the grid: it has {', '.join(places) or 'none'}.")
    return Operand(measures[name], arm, place)
