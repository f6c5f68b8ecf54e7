"""Plugins: a pluggy manager filled, and the registry that results. Nothing here is module state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pluggy

from gptlab import builtins, hookspecs
from gptlab.registry import Registry

# hook -> the kind that its `register(name, value)` adds to; components say their kind themselves
KIND_OF_HOOK = {
    "gptlab_register_optimizers": "optimizer",
    "gptlab_register_schedules": "schedule",
    "gptlab_register_datasets": "dataset",
    "gptlab_register_tokenizers": "tokenizer",
    "gptlab_register_engines": "engine",
    "gptlab_register_tracking": "tracking",
}


@dataclass
class Plugins:
    """The manager that fires hooks, and what its plugins have registered."""

    manager: pluggy.PluginManager
    registry: Registry


def load_plugins() -> Plugins:
    """gptlab's own names, through the hooks."""
    manager = pluggy.PluginManager("gptlab")
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    add_plugin(manager, registry, builtins, "gptlab")
    manager.check_pending()
    return Plugins(manager, registry)


def add_plugin(manager: pluggy.PluginManager, registry: Registry, plugin: Any, owner: str) -> None:
    """Register one plugin, its names under its owner's."""
    manager.register(plugin, owner)

    def register_op(op: Any) -> None:
        registry.register("op", op.name, op, owner)

    def register_component(kind: str, name: str, value: Any) -> None:
        registry.register(kind, name, value, owner)

    callbacks: dict[str, Any] = {
        "gptlab_register_ops": register_op,
        "gptlab_register_components": register_component,
    }
    for hook, kind in KIND_OF_HOOK.items():
        callbacks[hook] = partial(_register_named, registry, kind, owner)
    # Each plugin by itself, so that its names are registered with it as the owner.
    others = [other for other in manager.get_plugins() if other is not plugin]
    for hook, callback in callbacks.items():
        manager.subset_hook_caller(hook, remove_plugins=others)(register=callback)


def _register_named(registry: Registry, kind: str, owner: str, name: str, value: Any) -> None:
    registry.register(kind, name, value, owner)
