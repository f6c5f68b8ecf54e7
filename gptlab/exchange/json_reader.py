"""Weights from a JSON file: {"config": {six sizes}, "weights": [every number, in the order of `params`]}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gptlab.errors import UserError
from gptlab.exchange.json_text import JSONText
from gptlab.exchange.standard import check_heads, count_of, shapes_of
from gptlab.runs.source import Source, checked_sizes


def read_json_weights(path: Path) -> Source:
    """The standard model that a JSON file tells; keys that it has beside the two are passed over.

    Raises UserError for what is no JSON, sizes that are missing or do not fit, a list of another length,
    and anything in it but finite numbers. Raises OSError if the file cannot be read.
    """
    config: dict[str, Any] | None = None
    numbers: np.ndarray | None = None
    with path.open("rb") as file:
        text = JSONText(path, file)

        def member(key: str) -> None:
            nonlocal config, numbers
            if key == "config":
                config = read_config(text)
            elif key == "weights":
                numbers = text.numbers("weights")
            else:
                text.skip()

        text.members(member)
        text.end()
    if config is None or numbers is None:
        missing = "config" if config is None else "weights"
        raise UserError(
            f'a JSON file of weights must read {{"config": {{...}}, "weights": [...]}}: {path} has no "{missing}".'
        )
    sizes = checked_sizes(config, str(path))
    check_heads(sizes, str(path))
    wanted = count_of(sizes)
    if len(numbers) != wanted:
        raise UserError(
            f"weights must be {wanted:,} numbers for the config of {path} "
            f"({', '.join(f'{key}={size}' for key, size in sizes.items())}): it has {len(numbers):,}."
        )
    return Source(str(path), None, None, matrices(numbers, sizes), sizes)


def read_config(text: JSONText) -> dict[str, Any]:
    """The members of `config` that are plain values; lists and objects among them are passed over."""
    config: dict[str, Any] = {}

    def member(key: str) -> None:
        if text.peek() in ("[", "{"):
            config[key] = "a list" if text.peek() == "[" else "an object"
            text.skip()
        else:
            config[key] = text.scalar()

    text.members(member)
    return config


def matrices(numbers: np.ndarray, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    """Views into the flat list (N,), by name."""
    found, at = {}, 0
    for name, (rows, columns) in shapes_of(sizes).items():
        found[name] = numbers[at : at + rows * columns].reshape(rows, columns)
        at += rows * columns
    return found
