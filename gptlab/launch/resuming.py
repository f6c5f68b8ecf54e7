"""`resume=`: the config of a run as it was, and what of the command line would change it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from gptlab.command.composing import compose, explained
from gptlab.config.schema import plain
from gptlab.config.typed import Chosen, Config, as_dict, flatten, typed
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from gptlab.plugins.registry import GROUPS, Registry
from gptlab.runs.checkpoint.folder import STATE, Checkpoint

Settings = dict[str, Any]
# What may differ from one part of a run to the next: it changes nothing of what is learnt.
MISSING = object()  # in place of a part that the saved config has not
FREE = ("progress", "checkpoint", "inspect", "tracking", "listeners", "listener", "metrics")
LISTENING = ("listeners", "listener")  # go together
BUDGET = "train.budget"  # may differ, too
ENGINE = "engine"
DEVICES = ("devices", "mesh")  # which of them compute: go together
HOSTS = "hosts"  # of the processes that there are now, never of those that there were


def config_to_resume(
    checkpoint: Checkpoint, requested: Config, overrides: list[str], plugins: Plugins
) -> Config:
    """The config of the checkpoint's run, with what of FREE the command line gives.

    requested: the config as the command line alone makes it. Raises UserError for a config that this gptlab
    does not know, and for what would make it another run, by name.
    """
    from gptlab.exchange.loading import known_plugins
    from gptlab.plugins.code import refuse_changed_plugins

    brought = checkpoint.state["plugins"]
    run = os.path.relpath(checkpoint.run_folder)
    refuse_changed_plugins(plugins.registry, brought, run, requested.anyway)
    with known_plugins(plugins.registry, brought):
        saved = check_saved(checkpoint, plugins.registry)
    refuse_changes(checkpoint, saved, as_dict(requested), overrides, plugins)
    keys = {key_of(override) for override in overrides}
    given = {key.partition(".")[0] for key in keys} & {*FREE}
    if not given.isdisjoint(LISTENING):
        given |= {*LISTENING}
    config = replace(typed(Config, saved), **{key: getattr(requested, key) for key in given})
    config = with_places(config, requested, keys)
    return config if BUDGET not in keys else with_budget(config, requested.train.budget)


def with_places(config: Config, requested: Config, keys: set[str]) -> Config:
    """Where the run is computed, as the command line has it where it says so."""
    taken = [HOSTS] if HOSTS in config.engine else []
    if any(is_place(key) and not key.startswith(f"{ENGINE}.{HOSTS}") for key in keys):
        taken += DEVICES
    changed = {name: requested.engine.get(name) for name in taken}
    return replace(config, engine=Chosen({**config.engine, **changed})) if changed else config


def is_place(key: str) -> bool:
    group, _, name = key.partition(".")
    return group == ENGINE and name.partition(".")[0] in (*DEVICES, HOSTS)


def with_budget(config: Config, budget: str | None) -> Config:
    return replace(config, train=replace(config.train, budget=budget))


def check_saved(checkpoint: Checkpoint, registry: Registry) -> Settings:
    """The saved config, held against the schema; keys that it is too old to have get their defaults."""
    from omegaconf import OmegaConf

    from gptlab.command.errors import CONFIG_ERRORS

    config = without_strange_listeners(checkpoint.state["config"], registry)
    choices = []
    for kind, group in GROUPS.items():
        part: Any = config
        for name in group.split("/"):
            part = part.get(name, MISSING) if isinstance(part, dict) else part
        if part is MISSING:  # one that came later
            continue
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise UserError(
                f"{checkpoint.folder / STATE} must hold a config that this gptlab knows: {group} must be a {kind} "
                f"with its name: got {str(part)[:60]!r}."
            )
        registry.get(kind, part["name"])  # an unknown name has its own words
        choices.append(f"{group}={part['name']}")
    try:
        merged = OmegaConf.merge(compose("train", choices), OmegaConf.create(without_interpolations(config)))
        settings = with_texts_of(config, plain(merged))  # type: ignore[arg-type]
        # What an older gptlab held out depended on the run's seed, and stays held out.
        if "splitSeed" not in config.get("data", {}):
            settings["data"]["splitSeed"] = None
        return settings
    except CONFIG_ERRORS as error:
        place = f"{key}: " if (key := getattr(error, "full_key", None)) else ""
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{checkpoint.folder / STATE} must hold a config that this gptlab knows: {place}{reason}."
        ) from None


def without_strange_listeners(config: Any, registry: Registry) -> Any:
    """A run goes on without a listener that is not there any more, if `listeners=` says so."""
    if not isinstance(config, dict) or not isinstance(config.get("listener"), dict):
        return config
    known = registry.names("listener")
    return {**config, "listener": {k: v for k, v in config["listener"].items() if k in known}}


def without_interpolations(value: Any) -> Any:
    """A resolved config may still say "${...}" somewhere: that is a text, and nothing to be looked up again."""
    if isinstance(value, dict):
        return {key: without_interpolations(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_interpolations(item) for item in value]
    return value.replace("${", "{") if isinstance(value, str) else value


def with_texts_of(config: Any, checked: Any) -> Any:
    """What has been checked, with the texts as they stand in `config`."""
    if isinstance(checked, dict) and isinstance(config, dict):
        return {key: with_texts_of(config.get(key, item), item) for key, item in checked.items()}
    return config if isinstance(checked, (str, list)) else checked


def refuse_changes(
    checkpoint: Checkpoint, saved: Settings, requested: Settings, overrides: list[str], plugins: Plugins
) -> None:
    """Raises UserError that names what the command line asks for and the run has otherwise."""
    from omegaconf import OmegaConf

    selections = [override for override in overrides if key_of(override) in GROUPS.values()]
    with explained(plugins, overrides):
        # Not `plain`: a field that is typed beside its group has no default to be there without.
        unasked = flatten(OmegaConf.to_container(compose("train", selections), resolve=True))  # type: ignore[arg-type]
    typed = [key_of(o).replace("/", ".") for o in overrides]
    wanted, have = flatten(requested), flatten(saved)
    differing = [
        key
        for key, value in wanted.items()
        if key.partition(".")[0] not in (*FREE, "resume")
        and key != BUDGET
        and not (is_place(key) and wanted["engine.name"] == have["engine.name"])
        and value != have.get(key)
        and (
            (key in typed or key.removesuffix(".name") in typed)
            # What an experiment brings counts as typed, but for what it says of itself.
            or (value != unasked.get(key) and key != "description")
        )
    ]
    if differing:
        groups = {f"{group.replace('/', '.')}.name": group for group in GROUPS.values()}
        rows = [
            f"{groups.get(key, key)}={shown(wanted[key])} (the run has {shown(have.get(key))})"
            for key in differing[:8]
        ]
        run = os.path.relpath(checkpoint.run_folder)
        raise UserError(
            f"resume continues a run as it was: got {', '.join(rows)}. Leave that out; to begin another run from "
            f"its weights: initFrom={run}"
        )


def key_of(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
