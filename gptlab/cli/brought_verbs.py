"""Verbs that plugins bring: found by their names, shown by their docstrings, run with their fields."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Sequence

from gptlab.calling import as_called
from gptlab.config.keys import default_of
from gptlab.errors import TrainingStopped, UserError
from gptlab.plugins.loading import load_plugins, mentions
from gptlab.plugins.reading import UNREAD, read_plugins
from gptlab.plugins.registry import VERB, Entry, Registry
from gptlab.signals import reraise_if_stopped
from gptlab.streams import show

TRACEBACK = "GPTLAB_TRACEBACK"


def run_brought(arguments: Sequence[str]) -> int | None:
    """Do what a plugin's verb does, or show its help; None if the first word is none of a plugin's verbs.

    The names are read first: no plugin runs for a word that is mistyped, or for --help.
    """
    name, *rest = arguments
    read = read_plugins()
    if name in read.registry.names(VERB):
        if "--help" in rest or "-h" in rest:
            show(as_called(help_of_brought(read.registry.entry(VERB, name))))
            return 0
    elif not any(plugin.failure == UNREAD and mentions(plugin.source.file, name) for plugin in read.found):
        return None
    registry = load_plugins().registry
    return do(registry, name, rest) if name in registry.names(VERB) else None


def names_of_brought() -> list[str]:
    """The names of the plugins' verbs, as far as they can be read."""
    return read_plugins().registry.names(VERB)


def do(registry: Registry, name: str, words: Sequence[str]) -> int:
    """The exit status. Raises UserError also for whatever else goes wrong in it, which is the plugin's to mend."""
    from gptlab.command.verb_fields import with_fields

    entry = registry.entry(VERB, name)
    if "--help" in words or "-h" in words:  # of a plugin whose names cannot be read
        show(as_called(help_of_brought(entry)))
        return 0
    verb = with_fields(entry.name, entry.value, words, registry)
    try:
        status = verb()
    except (UserError, TrainingStopped, KeyboardInterrupt):
        raise
    except Exception as error:
        reraise_if_stopped(error)
        if os.environ.get(TRACEBACK):
            raise
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UserError(
            f"the verb '{entry.name}' of the plugin '{entry.owner}' failed: {said}. Set {TRACEBACK}=1 to see where."
        ) from None
    if status is not None and not isinstance(status, int):
        raise UserError(
            f"the verb '{entry.name}' of the plugin '{entry.owner}' must return an exit status or None: got {status!r}."
        )
    return int(status or 0)


def help_of_brought(entry: Entry) -> str:
    """Its docstring, an example if that has none, and its keys with their defaults."""
    paragraphs = [inspect.getdoc(entry.value) or f"{entry.name}, of the plugin '{entry.owner}'."]
    fields = dataclasses.fields(entry.value)
    command = f"python -m gptlab {entry.name}"
    if command not in paragraphs[0]:
        needed = [f" {f.name}=..." for f in fields if f.default in ("???", dataclasses.MISSING)]
        paragraphs.append(f"  {command}{''.join(needed)}")
    if defaults := [f"{field.name}={default_of(field)}" for field in fields]:
        paragraphs.append(f"keys: {' '.join(defaults)}")
    return "\n\n".join(paragraphs)
