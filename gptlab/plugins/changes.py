"""Plugins that are not what they were when a run was trained: its numbers were made by other code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from gptlab.errors import UserError
from gptlab.plugins.registry import OWN, Registry

DIGEST = "plugin "  # in front of a plugin's name, in what a run keeps of the plugins that it used


def changed_plugins(registry: Registry, brought: Mapping[str, Any]) -> list[str]:
    """What of a run's plugins is otherwise now: one phrase each. What is not there at all has other words.

    brought: what the run keeps, `{"op halfmul": "half", "plugin half": DIGEST}`. A run from before there were
    digests has none, and nothing to be compared.
    """
    phrases = []
    for key, kept in brought.items():
        if key.startswith(DIGEST):
            now = registry.digest(key.removeprefix(DIGEST))
            if now and now != kept:
                phrases.append(f"the plugin '{key.removeprefix(DIGEST)}' has changed")
            continue
        kind, _, name = key.partition(" ")
        if name in registry.names(kind) and (owner := registry.owner(kind, name)) != kept:
            place = "gptlab itself" if owner == OWN else f"the plugin '{owner}'"
            phrases.append(f"{kind} {name}, of the plugin '{kept}', is now of {place},")
    return phrases


def say_changed_plugins(registry: Registry, brought: Mapping[str, Any], place: str) -> None:
    """One line on stderr if a plugin is not what it was."""
    if changes := changed_plugins(registry, brought):
        message = f"{' and '.join(changes)} since {place} was trained: the model may do something else now."
        print(f"gptlab: {message}", file=sys.stderr, flush=True)


def refuse_changed_plugins(registry: Registry, brought: Mapping[str, Any], place: str, anyway: bool) -> None:
    """Raises UserError if a plugin is not what it was, unless that is to be `anyway`: then it is said."""
    if anyway:
        say_changed_plugins(registry, brought, place)
    elif changes := changed_plugins(registry, brought):
        raise UserError(
            f"what goes on must be computed as it began: {' and '.join(changes)} since {place} was trained. "
            "Put back what it was, or add anyway=true to go on with what it is now."
        )
