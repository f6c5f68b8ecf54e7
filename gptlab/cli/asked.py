"""What a command asks of a model, apart from what is so by default: `initFrom` must not pass over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gptlab.cli.composing import compose
from gptlab.config.schema import plain
from gptlab.plugins.groups import GROUPS

TAKEN = ("model", "ops", "tokenizer")  # what initFrom takes over
OWN = "model.adapter"  # of which this is the run's own


def asked_of(settings: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """`{"model.nEmbd": 32, "model.norm.name": "layernorm"}`: what is typed, and what an experiment changes."""
    defaults = dict(leaves(plain(compose("train", []))))
    typed = [text.partition("=")[0].lstrip("+") for text in overrides]
    asked = {}
    for key, value in leaves(settings):
        differs = key in defaults and value != defaults[key]
        if differs or any(names(override, key) for override in typed):
            asked[key] = value
    return asked


def leaves(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values that initFrom takes over, by their dotted keys."""
    for root in TAKEN:
        yield from _leaves(settings[root], root)


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if key == OWN:
        return
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from _leaves(inner, f"{key}.{name}")
    else:
        yield key, node


def names(override: str, key: str) -> bool:
    """Whether an override's key is this one, holds it, or selects the component that it names."""
    if override in GROUPS.values():
        return key == f"{override.replace('/', '.')}.name"
    return f"{key}.".startswith(f"{override}.")
