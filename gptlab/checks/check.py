"""One thing that was tried, and how it came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from gptlab.errors import UserError
from gptlab.signals import raise_if_received, reraise_if_stopped

SHOWN = 3  # entries of a check that failed


@dataclass(frozen=True)
class Check:
    """`what` was tried of `kind name`; `problem` is empty if it holds, else what is wrong, where, by how much."""

    kind: str
    name: str
    what: str
    problem: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem


@dataclass
class Findings:
    """The checks of one registered name, gathered."""

    kind: str
    name: str
    checks: list[Check]

    @contextmanager
    def trying(self, what: str) -> Iterator[Callable[[str], None]]:
        """Adds one check: failed if the body says so, or raises; passed otherwise."""
        problems: list[str] = []
        try:
            yield problems.append
        except Exception as error:  # a plugin may raise anything: that is what is being looked for
            reraise_if_stopped(error)
            raise_if_received()
            said = str(error).strip().partition("\n")[0]  # jax explains itself over a page
            own = said and isinstance(error, UserError)
            problems.append(said if own else f"{type(error).__name__}: {said}")
        raise_if_received()
        self.checks.append(Check(self.kind, self.name, what, joined(problems)))


def joined(problems: list[str]) -> str:
    """The first of them, and how many more there are: one mistake shows in hundreds of entries."""
    more = len(problems) - SHOWN
    return "; ".join([*problems[:SHOWN], *([f"and {more} more"] if more > 0 else [])])


def difference(one: object, other: object, tolerance: float = 1e-9) -> str:
    """Where two arrays differ the most, if by more than the tolerance relative to the largest entry."""
    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if a.shape != b.shape:
        return f"shapes {a.shape} and {b.shape} differ"
    if a.size == 0:
        return ""
    both = np.isfinite(a) & np.isfinite(b)
    if not (both | ((a == b) | (np.isnan(a) & np.isnan(b)))).all():
        return "one is finite where the other is not"
    scale = max(float(np.abs(a[both]).max(initial=0.0)), 1e-12)
    gaps = np.where(both, np.abs(a - b), 0.0)
    where = np.unravel_index(int(gaps.argmax()), gaps.shape)
    if gaps[where] <= tolerance * scale:
        return ""
    place = f"at {tuple(int(i) for i in where)}: " if where else ""
    return f"{place}{a[where]:.9g} and {b[where]:.9g}"
