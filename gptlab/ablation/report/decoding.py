"""Dataclasses out of what JSON holds, each value checked against the type of its field."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

LARGEST = 1 << 63  # beyond it an integer is none that gptlab counted


def decoded(value: Any, kind: Any, where: str) -> Any:
    """A dataclass of an object. Keys that it has no field for are passed over; a field with a default may be missing.

    where: what the value is called. Raises ValueError for a value of another type, with the place of it.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object")
    hints = hints_of(kind)
    found = {}
    for field in fields(kind):
        if field.name in value:
            found[field.name] = checked(value[field.name], hints[field.name], f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where}.{field.name} is missing")
    return kind(**found)


@lru_cache(maxsize=32)
def hints_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def checked(value: Any, kind: Any, where: str) -> Any:
    """The value as the type `kind` has it: a list for a tuple, a null for a number that was not finite."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return decoded(value, kind, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return checked(value, next(one for one in arguments if one is not type(None)), where)
    if origin is Literal:
        return must(
            value in arguments if isinstance(value, str) else False, value, where, " or ".join(arguments)
        )
    if origin is list:
        must(isinstance(value, list), value, where, "a list")
        return [checked(one, arguments[0], f"{where}[{i}]") for i, one in enumerate(value)]
    if origin is tuple:
        must(
            isinstance(value, list) and len(value) == len(arguments), value, where, f"{len(arguments)} values"
        )
        return tuple(checked(one, of, where) for one, of in zip(value, arguments, strict=True))
    if origin in (dict, Mapping):
        must(isinstance(value, dict), value, where, "an object")
        return {key: checked(one, arguments[1], f"a value of {where}") for key, one in value.items()}
    return plain(value, kind, where)


def plain(value: Any, kind: type, where: str) -> Any:
    if kind is bool or isinstance(value, bool):
        said = "true or false" if kind is bool else "neither true nor false"
        return must(kind is bool and isinstance(value, bool), value, where, said)
    if kind is float:
        if value is None:
            return math.nan
        must(isinstance(value, (int, float)) and abs(value) < math.inf, value, where, "a finite number")
        return (
            must(isinstance(value, float) or abs(value) < LARGEST, value, where, "a number of a usual size")
            * 1.0
        )
    if kind is int:
        return must(isinstance(value, int) and abs(value) < LARGEST, value, where, "a whole number")
    return must(isinstance(value, kind), value, where, "a text")


def must(holds: bool, value: Any, where: str, what: str) -> Any:
    if not holds:
        raise ValueError(f"{where} must be {what}")
    return value
