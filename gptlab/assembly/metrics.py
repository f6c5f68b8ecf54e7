"""The metrics that a config names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gptlab.engines.measured import Measures
from gptlab.errors import UserError
from gptlab.plugins.registry import Registry, build

METRICS = "metrics"


def metrics_of(entries: Sequence[Any], registry: Registry) -> Measures:
    """Each by the name that it is registered under. Raises UserError for what is no name, unknown, or there twice."""
    from gptlab.config.schema import typed_fields

    found: dict[str, Any] = {}
    for i, entry in enumerate(entries):
        settings = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
            raise UserError(
                f"{METRICS}[{i}] must be a name, or a name and fields: got {entry}. Try {METRICS}=[accuracy]."
            )
        name = settings["name"]
        if name in found:
            raise UserError(f"{METRICS} must name each metric once: got {name} twice. Leave one out.")
        found[name] = build(registry, "metric", typed_fields(registry.get("metric", name), settings))
    return tuple(found.items())
