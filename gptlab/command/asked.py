"""What a command asks of a model, apart from what is so by default: `initFrom` must not pass over it."""

from __future__ import annotations

from typing import Any

from gptlab.command.composing import compose
from gptlab.config.dotted import flatten
from gptlab.config.schema import plain
from gptlab.config.typed import Config, as_dict
from gptlab.plugins.registry import GROUPS

TAKEN = ("model", "ops", "tokenizer")  # what initFrom takes over
OWN = "model.adapter."  # of which this is the run's own


def asked_of(config: Config, overrides: list[str]) -> dict[str, Any]:
    """`{"model.nEmbd": 32, "model.norm.name": "layernorm"}`: what is typed, and what an experiment changes."""
    defaults = flatten(plain(compose("train", [])))
    typed = [text.partition("=")[0].lstrip("+") for text in overrides]
    asked = {}
    for key, value in flatten(as_dict(config)).items():
        if key.partition(".")[0] not in TAKEN or key.startswith(OWN):
            continue
        differs = key in defaults and value != defaults[key]
        if differs or any(names(override, key) for override in typed):
            asked[key] = value
    return asked


def names(override: str, key: str) -> bool:
    """Whether an override's key is this one, holds it, or selects the component that it names."""
    if override in GROUPS.values():
        return key == f"{override.replace('/', '.')}.name"
    return f"{key}.".startswith(f"{override}.")
