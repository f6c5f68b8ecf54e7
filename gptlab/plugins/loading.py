"""Plugins: a pluggy manager filled, and the registry that results. Nothing here is module state."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pluggy

from gptlab.calling import warn
from gptlab.errors import UserError, nearest, unknown_name
from gptlab.plugins import discovery, hookspecs
from gptlab.plugins.code import digest_of
from gptlab.plugins.discovery import Source
from gptlab.plugins.first_runs import say_first_runs
from gptlab.plugins.folders import OFF, VARIABLE, is_off, named_folders
from gptlab.plugins.registry import LISTENER, OWN, VERB, Entry, Registry
from gptlab.signals import reraise_if_stopped

# hook -> the kind that its `register(name, value)` adds to; components say their kind themselves
KIND_OF_HOOK = {
    "gptlab_register_inits": "init",
    "gptlab_register_objectives": "objective",
    "gptlab_register_metrics": "metric",
    "gptlab_register_optimizers": "optimizer",
    "gptlab_register_schedules": "schedule",
    "gptlab_register_samplers": "sampler",
    "gptlab_register_datasets": "dataset",
    "gptlab_register_tokenizers": "tokenizer",
    "gptlab_register_engines": "engine",
    "gptlab_register_tracking": "tracking",
    "gptlab_register_listeners": LISTENER,
    "gptlab_register_verbs": VERB,
}
# The modules with gptlab's own names; by their names, since plugins know nothing of the rooms that use them.
OWN_MODULES = ("gptlab.plugins.builtins", "gptlab.training.samplers", "gptlab.tracking")
HOOKS = [name for name in vars(hookspecs) if name.startswith("gptlab_")]
REGISTERING = [hook for hook in HOOKS if hook.startswith("gptlab_register_")]
LISTENING = [hook for hook in HOOKS if hook not in REGISTERING]


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: loaded, or left out for the reason in `failure`."""

    source: Source
    module: Any = None
    failure: str = ""

    @property
    def listens(self) -> bool:
        return any(hasattr(getattr(self.module, hook, None), "gptlab_impl") for hook in LISTENING)


@dataclass
class Plugins:
    """The manager that fires hooks, what was found, and what it registered."""

    manager: pluggy.PluginManager
    registry: Registry
    found: list[Plugin] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)  # of the code that was loaded

    def digest(self, name: str) -> str:
        """What the code of the plugin of this name was when it was loaded; "" for one that has no file."""
        loaded = next((p for p in self.found if p.source.name == name and not p.failure), None)
        if loaded is not None and name not in self.digests:
            self.digests[name] = digest_of_plugin(loaded)
        return self.digests.get(name, "")

    def listens(self, name: str) -> bool:
        """Whether the plugin of this name has a listener hook."""
        return any(plugin.listens for plugin in self.found if plugin.source.name == name)

    def listener(self, name: str) -> Any:
        """The plugin of this name, if it has a listener hook. Raises UserError if not."""
        listening = {plugin.source.name: plugin.module for plugin in self.found if plugin.listens}
        if name not in listening:
            known = [*listening, *self.registry.names(LISTENER)]
            raise unknown_name("listener", name, known, self.registry.hint("listener", name))
        if name in self.registry.names(LISTENER):
            owner = self.registry.owner(LISTENER, name)
            raise UserError(
                f"two listeners are named '{name}': the plugin of that name, by its own hooks, and the one that "
                f"{owner} registers. Rename one of them."
            )
        return listening[name]


def load_plugins(extra: Iterable[Source] = (), discover: bool = True, quiet: bool = False) -> Plugins:
    """gptlab's own names and those of every plugin that can be found, through the hooks.

    A plugin that fails to import is left out, with one line on stderr (unless `quiet`) that names it, and so is one
    that somebody else could have written. Before those of a folder run for the first time a line says so.

    Raises UserError for two plugins of one name, two that register one name, a misspelt hook, or a
    hook with arguments that its specification has not.
    """
    manager = pluggy.PluginManager("gptlab")
    manager.add_hookspecs(hookspecs)
    plugins = Plugins(manager, Registry())
    for name in OWN_MODULES:
        own = Source(OWN, "built in", "", partial(import_module, name))
        add_plugin(plugins, own, own.load(), name)
    by_name = {OWN: own}
    sources = [*(discovery.sources() if discover else ()), *extra]
    if not quiet:
        say_left_out(sources)
        say_first_runs(sources, warn)
    for source in sources:
        if source.refusal:  # before one that may run asks for it
            discovery.block_file(source.name)
    for source in sources:
        if source.name in by_name:
            raise UserError(
                f"two plugins are named '{source.name}': {by_name[source.name].where} and {source.where}. "
                "Rename or remove one of them."
            )
        by_name[source.name] = source
        if source.refusal:
            plugins.found.append(Plugin(source, failure=source.refusal))
        else:
            load_one(plugins, source, silently if quiet else warn)
    plugins.registry.hint = partial(hint_from_failures, plugins.found)
    plugins.registry.digest = plugins.digest
    return plugins


def say_left_out(sources: Iterable[Source]) -> None:
    """A line for each folder, or for each plugin in it, that may not run; none if nothing in folders is to."""
    if unknown := [name for name in named_folders() if not Path(name).is_dir()]:
        warn(f"{VARIABLE} names folders, or is {OFF}: there is no folder {', '.join(unknown)}")
    if is_off():
        return
    lines: dict[str, None] = {}
    for source in sources:
        if source.home is not None and source.home.refusal:
            lines[f"the plugins of {source.home.path.absolute()} are left out: {source.refusal}"] = None
        elif source.refusal:
            lines[f"the plugin '{source.name}' ({source.where}) is left out: {source.refusal}"] = None
    for line in lines:
        warn(line)


def load_one(plugins: Plugins, source: Source, warn: Callable[[str], None]) -> None:
    try:
        module = source.load()
        add_plugin(plugins, source, module)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reraise_if_stopped(error)
        failure = f"{type(error).__name__}: {error}"
        plugins.found.append(Plugin(source, None, failure))
        warn(f"the plugin '{source.name}' ({source.where}) is left out: {failure}")
        return
    plugin = Plugin(source, module)
    plugins.found.append(plugin)
    if source.file is not None:  # may be edited while this process goes on; what is installed hardly is
        plugins.digest(source.name)
    if not plugin.listens and not any(entry.owner == source.name for entry in plugins.registry):
        warn(
            f"the plugin '{source.name}' ({source.where}) registers nothing. "
            "Is @gptlab.hookimpl missing above a function gptlab_register_...?"
        )


def digest_of_plugin(plugin: Plugin) -> str:
    source, module = plugin.source, plugin.module
    file, folder = source.file, source.folder
    if file is None and (place := getattr(module, "__file__", None)) is not None:
        file = Path(place)
        package = sys.modules.get(module.__name__.partition(".")[0])
        folder = next(iter(map(Path, getattr(package, "__path__", []))), None)
    digest = digest_of(source.name, file, folder)
    return f"{source.version} {digest}".strip() if digest else ""


def add_plugin(plugins: Plugins, source: Source, module: Any, name: str = "") -> None:
    """Register one plugin's names under its own; none of them if its hooks fail. name: the manager's, if another."""
    name = name or source.name
    try:
        plugins.manager.register(module, name)
        plugins.manager.check_pending()
    except pluggy.PluginValidationError as error:
        plugins.manager.unregister(name=name)
        raise UserError(
            f"the plugin '{source.name}' ({source.where}) must fit the hooks: {hook_error(error)}"
        ) from None
    entries: list[Entry] = []

    def register(kind: str, name: str, value: Any) -> None:
        plugins.registry.check(kind, name, value, source.name)
        entries.append(Entry(kind, name, value, source.name))

    callbacks: dict[str, Any] = {
        "gptlab_register_ops": lambda op: register("op", op.name, op),
        "gptlab_register_components": register,
    }
    callbacks |= {hook: partial(register, kind) for hook, kind in KIND_OF_HOOK.items()}
    # Each plugin by itself, so that its names are registered with it as the owner.
    others = [other for other in plugins.manager.get_plugins() if other is not module]
    for hook in REGISTERING:
        plugins.manager.subset_hook_caller(hook, remove_plugins=others)(register=callbacks[hook])
    for entry in entries:
        plugins.registry.register(entry.kind, entry.name, entry.value, entry.owner)


def hook_error(error: pluggy.PluginValidationError) -> str:
    """pluggy's message without its own object reprs, with the known hooks where one is misspelt."""
    text = " ".join(str(error).split())
    if found := re.search(r"unknown hook '([^']+)'", text):
        close = nearest(found[1], HOOKS)
        guess = f" Did you mean {close[0]}?" if close else f" Known: {', '.join(HOOKS)}."
        return f"there is no hook '{found[1]}'.{guess}"
    if found := re.search(r"hook '(\w+)'.*Argument\(s\) (\{.*?\}) are declared in the hookimpl", text):
        spec = getattr(hookspecs, found[1])
        known = ", ".join(spec.__code__.co_varnames[: spec.__code__.co_argcount])
        return f"{found[1]} takes ({known}), and the plugin asks for {found[2].strip('{}')}."
    return text


def hint_from_failures(found: Iterable[Plugin], kind: str, name: str) -> str:
    """For a name that is not there: the plugin that would have had it, if one that failed mentions it."""
    for plugin in found:
        if plugin.failure and mentions(plugin.source.file, name):
            end = "" if plugin.source.refusal else "."  # a path may be copied
            return f"The plugin '{plugin.source.name}' may have it, but is left out: {plugin.failure}{end}"
    return ""


def mentions(file: Path | None, name: str) -> bool:
    try:
        return (
            file is not None and re.search(rf"\b{re.escape(name)}_?\b", file.read_text("utf-8")) is not None
        )
    except (OSError, UnicodeDecodeError):
        return False


def silently(message: str) -> None:
    """For who shows the failures otherwise."""
