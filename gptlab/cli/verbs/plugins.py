"""The verb `plugins`: what was found, what each registers, and those left out with the reason."""

from __future__ import annotations

from importlib.metadata import version

from gptlab.calling import as_called, warn
from gptlab.errors import UserError
from gptlab.plugins.discovery import sources
from gptlab.plugins.first_runs import say_first_runs
from gptlab.plugins.loading import Plugin, Plugins, load_plugins
from gptlab.plugins.registry import OWN, Registry
from gptlab.streams import show

HELP = """\
List the plugins that gptlab found: their place, version and registered names, and why one was left out.

  python -m gptlab plugins

gptlab looks in plugins/ of its checkout, ./plugins, the folders in GPTLAB_PLUGINS (separated by :), and
installed packages with an entry point in the group gptlab. GPTLAB_PLUGINS=off runs no plugin from a folder.
docs/plugins.md says how to write one.\
"""


def run(arguments: list[str]) -> int:
    if arguments:
        raise UserError(
            f"plugins takes nothing more: got '{' '.join(arguments)}'. Type python -m gptlab plugins."
        )
    say_first_runs(sources(), warn)
    show(as_called(listing(load_plugins(quiet=True))))
    return 0


def listing(plugins: Plugins) -> str:
    """A paragraph a plugin: its name, version and place, then the kinds and names that it registers."""
    paragraphs = [paragraph(OWN, version("gptlab"), "built in", registered(plugins.registry, OWN))]
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
