"""What `python -m gptlab plugins` prints."""

from __future__ import annotations

from gptlab.plugins.loading import Plugin, Plugins
from gptlab.plugins.registry import OWN, Registry


def listing(plugins: Plugins) -> str:
    """A paragraph a plugin: its name, version and place, then the kinds and names that it registers."""
    paragraphs = [paragraph(OWN, own_version(), "built in", registered(plugins.registry, OWN))]
    for plugin in plugins.found:
        source = plugin.source
        paragraphs.append(
            paragraph(source.name, source.version, source.where, facts(plugin, plugins.registry))
        )
    return "\n\n".join(paragraphs)


def paragraph(name: str, version: str, where: str, lines: list[str]) -> str:
    title = " ".join(word for word in (name, version, f"({where})") if word)
    return "\n".join([title, *(f"  {line}" for line in lines)])


def facts(plugin: Plugin, registry: Registry) -> list[str]:
    if plugin.failure:
        return [f"left out: {plugin.failure}"]
    lines = registered(registry, plugin.source.name)
    if plugin.listens:
        lines.append(f"listener: listeners=[{plugin.source.name}]")
    return lines or ["registers nothing"]


def registered(registry: Registry, owner: str) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for entry in registry:
        if entry.owner == owner:
            kinds.setdefault(entry.kind, []).append(entry.name)
    return [f"{kind}: {' '.join(names)}" for kind, names in kinds.items()]


def own_version() -> str:
    from importlib.metadata import version

    return version("gptlab")
