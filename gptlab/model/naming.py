"""Weights chosen by name: by the whole of it, by how it begins, or by a part of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gptlab.errors import UserError, nearest

SHOWN = 24  # names in an error


def beginning(prefix: str, names: Iterable[str]) -> list[str]:
    """The names that `prefix` is, or that begin with it up to a dot: `layers.1` does not mean `layers.10`."""
    return [name for name in names if f"{name}.".startswith(f"{prefix}.")]


def holding(part: str, names: Iterable[str]) -> list[str]:
    """The names that hold `part` between dots: `attention.query` is in `layers.0.attention.query`."""
    return [name for name in names if f".{part}." in f".{name}."]


def parts_of(names: Sequence[str], within: bool) -> list[str]:
    """All that `beginning` (or `holding`, if `within`) would find something for, the shortest first."""
    found: dict[str, None] = {}
    for name in names:
        words = name.split(".")
        for first in range(len(words) if within else 1):
            for last in range(first + 1, len(words) + 1):
                if not words[first].isdigit():
                    found[".".join(words[first:last])] = None
    return sorted(found, key=lambda part: part.count("."))


def unmatched(key: str, given: str, names: Sequence[str], within: bool = False) -> UserError:
    """The error for a part of `key` that no weight's name fits."""
    known = parts_of(names, within)
    close = nearest(given, known)
    guess = f"Did you mean {' or '.join(close)}? " if close else ""
    where = "a matrix, or a part of its name between dots" if within else "a matrix, or how its name begins"
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return UserError(
        f"each of {key} must be {where}: got '{given}', which is none. {guess}There are {listed}."
    )
