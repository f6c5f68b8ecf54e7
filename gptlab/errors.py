"""The one error that is the user's to mend: shown without a traceback, exit status 2."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Real
from typing import Any

from gptlab.calling import as_called


class UserError(Exception):
    """Says what must hold, what came, and what to type instead.

    Raised for a wrong name, shape, file or value. The command line prints it as
    one message and exits with status 2; as a library it is an ordinary exception, which a notebook
    shows as that message alone.
    """

    def _render_traceback_(self) -> list[str]:  # IPython's protocol
        return [as_called(f"gptlab: {self}")]


class TrainingStopped(Exception):
    """Training cannot go on (the loss is no longer finite). The run is FAILED, with this reason."""

    run_status = "FAILED"  # in MLflow


def require(
    key: str,
    value: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    unit: str = "",
    example: Any,
) -> None:
    """Raises UserError unless the value is a finite number within these bounds.

    `gptlab.require("optimizer.beta1", self.beta1, at_least=0, below=1, example=0.9)` says
    `optimizer.beta1 must be at least 0 and below 1: got 1.5. Try optimizer.beta1=0.9.`

    unit: of what it is a number, as `steps`. example: a value to type, or words that begin with one, as "40, or 0".
    Raises ValueError for no bound, or two of one side.
    """
    words = bounds_in_words(at_least=at_least, above=above, at_most=at_most, below=below)
    if not words:
        raise ValueError(f"{key} needs a bound")
    number = isinstance(value, Real) and not isinstance(value, bool)
    within = number and (
        (at_least is None or value >= at_least)
        and (above is None or value > above)
        and (at_most is None or value <= at_most)
        and (below is None or value < below)
    )
    if within and (
        isinstance(value, int) or math.isfinite(value)
    ):  # a whole number may be too large for a float
        return
    words = f"a finite number {words}" if within else words
    raise UserError(f"{key} must be {words}{' ' if unit else ''}{unit}: got {value}. Try {key}={example}.")


def bounds_in_words(
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> str:
    """`from 0 to 1`, `at least 0 and below 1`; empty for no bound. Raises ValueError for two of one side."""
    if None not in (at_least, above) or None not in (at_most, below):
        raise ValueError("a value has one lower bound and one upper bound at most")
    if at_least is not None and at_most is not None:
        return f"from {at_least} to {at_most}"
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    return " and ".join(f"{name} {bound}" for name, bound in bounds.items() if bound is not None)


def nearest(name: str, known: Iterable[str], count: int = 3, cutoff: float = 0.5) -> list[str]:
    """The known names most like `name`, best first; empty if none is alike. Capitals count for nothing."""
    names: dict[str, list[str]] = {}
    for known_name in known:
        names.setdefault(known_name.lower(), []).append(known_name)
    close = get_close_matches(name.lower(), names, n=count, cutoff=cutoff)
    return [spelt for word in close for spelt in names[word]][:count]


def unknown_name(what: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """The error for a name that nothing is registered under: the nearest first, then all."""
    names = sorted(known)
    close = nearest(name, names)
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    listing = f" Known: {', '.join(names)}." if names else " None is known."
    return UserError(f"no {what} is named '{name}'.{guess}{listing}{' ' + hint if hint else ''}")
