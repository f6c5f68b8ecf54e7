"""Weights from a JSON file: {"config": {six sizes}, "weights": [every number, in the order of `params`]}."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.exchange.standard import check_heads, count_of, shapes_of
from gptlab.runs.saved_run import SavedRun, checked_sizes, shown

DIGITS = 19  # of a whole number that is read as one; a size has fewer, and Python takes minutes over millions


class Members(dict[str, Any]):
    """An object of a JSON file. twice: a key that it has more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]):
        super().__init__(pairs)
        self.twice: str | None = None
        if len(self) < len(pairs):
            self.twice = Counter(key for key, _ in pairs).most_common(1)[0][0]


class Constant(str):
    """NaN, Infinity or -Infinity: Python reads them, and JSON has none."""


def read_json_weights(path: Path) -> SavedRun:
    """The standard model that a JSON file tells; keys that it has beside the two are passed over.

    Raises UserError for what is no JSON (RFC 8259), sizes that are missing or do not fit, a list of another
    length, and anything in it but finite numbers. Raises OSError if the file cannot be read.
    """
    constants: list[Constant] = []
    root = read_json(path, constants)
    if not isinstance(root, Members):
        raise misread(path, f"has {kind(root)} for it")
    check_keys(root, path)
    for key, wanted in (("config", Members), ("weights", list)):
        if key not in root:
            raise misread(path, f'has no "{key}"')
        if not isinstance(root[key], wanted):
            raise misread(path, f'has {kind(root[key])} as "{key}"')
    check_keys(root["config"], path)
    numbers = finite_numbers(root["weights"], path)
    if constants:  # and not among the weights
        raise UserError(
            f"the weights must be a whole JSON file: {path} has {constants[0]}, which JSON does not allow."
        )
    sizes = checked_sizes(root["config"], str(path))
    check_heads(sizes, str(path))
    wanted_count = count_of(sizes)
    if len(numbers) != wanted_count:
        raise UserError(
            f"weights must be {wanted_count:,} numbers for the config of {path} "
            f"({', '.join(f'{key}={size}' for key, size in sizes.items())}): it has {len(numbers):,}."
        )
    return SavedRun(str(path), None, None, matrices(numbers, sizes), sizes)


def read_json(path: Path, constants: list[Constant]) -> Any:
    """What the file holds; objects are Members, and each Constant in it is added to the list."""

    def constant(word: str) -> Constant:
        constants.append(Constant(word))
        return constants[-1]

    try:
        text = path.read_text(encoding="utf-8-sig")  # some files begin with the mark of their byte order
        return json.loads(text, object_pairs_hook=Members, parse_int=whole_number, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise UserError(
            f"a JSON file must be UTF-8: {path} has the byte 0x{error.object[error.start]:02x}, which is not valid "
            "UTF-8. Write it as UTF-8."
        ) from None
    except json.JSONDecodeError as error:
        here = error.doc[error.pos : error.pos + 20]
        raise UserError(
            f"the weights must be a whole JSON file: {path} has, at character {error.pos + 1}, "
            f"{shown(here) if here else 'the end of the file'}: {error.msg}."
        ) from None
    except RecursionError:
        raise UserError(
            f"{path} must be a file of weights: its lists and objects are nested too deep."
        ) from None


def whole_number(text: str) -> int | float:
    """As an int unless that would lose the sign of -0 or take long."""
    return float(text) if len(text) > DIGITS or text == "-0" else int(text)


def check_keys(members: Members, path: Path) -> None:
    if members.twice is not None:
        raise UserError(f"each key must appear once: {path} has {shown(members.twice)} twice.")


def misread(path: Path, what: str) -> UserError:
    return UserError(
        f'a JSON file of weights must read {{"config": {{...}}, "weights": [...]}}: {path} {what}.'
    )


def kind(value: Any) -> str:
    """What stands in the file, as JSON calls it."""
    if isinstance(value, (dict, list)):
        return "a list" if isinstance(value, list) else "an object"
    words = {True: "true", False: "false", None: "null"}
    return words[value] if value is None or isinstance(value, bool) else shown(value)


def finite_numbers(values: list[Any], path: Path) -> np.ndarray:
    """The flat list as an array, (N,) float64. Raises UserError for what is none, with its place."""
    if not set(map(type, values)) <= {int, float}:
        at = next(i for i, value in enumerate(values) if type(value) not in (int, float))
        raise no_number(values[at], f"as number {at + 1}", path)
    numbers = np.array(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        raise infinite("a larger one", f"as number {int(np.argmin(finite)) + 1}", path)
    return numbers


def no_number(value: Any, place: str, path: Path) -> UserError:
    """The error for what stands at a place among the weights."""
    if isinstance(value, (dict, list)):
        return UserError(
            f"weights must be one flat list of numbers: {path} has {kind(value)} {place}. "
            "Write the matrices one after another, row by row."
        )
    if isinstance(value, Constant):
        return infinite(value, place, path)
    if isinstance(value, str):
        return UserError(
            f"weights must be numbers: {path} has the text {shown(value)} {place}. Write it without quotes."
        )
    return UserError(f"weights must be numbers: {path} has {kind(value)} {place}.")


def infinite(what: str, place: str, path: Path) -> UserError:
    return UserError(f"weights must be finite numbers that float64 can hold: {path} has {what} {place}.")


def matrices(numbers: np.ndarray, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Views into the flat list (N,), by name."""
    found, at = {}, 0
    for name, (rows, columns) in shapes_of(sizes).items():
        found[name] = numbers[at : at + rows * columns].reshape(rows, columns)
        at += rows * columns
    return found


BLOCK = 1 << 16  # numbers turned into text at a time


def write_json_weights(path: Path, sizes: Mapping[str, int], weights: Mapping[str, np.ndarray]) -> None:
    """Write `{"config": ..., "weights": [...]}`; weights: finite, in the order of `params`.

    Each number has as many digits as tell its float64 from all others, 17 at most; of a float32 it is the
    float64 that equals it. Raises OSError.
    """
    with path.open("w", encoding="ascii") as file:
        file.write(f'{{"config": {strict_json.dumps(dict(sizes))}, "weights": [')
        separator = ""
        for array in weights.values():
            numbers = array.reshape(-1)
            for first in range(0, len(numbers), BLOCK):
                block = numbers[first : first + BLOCK].astype(np.float64).tolist()
                file.write(separator + ", ".join(map(repr, block)))
                separator = ",\n"
        file.write("]}\n")
