"""Hydra's and OmegaConf's errors in gptlab's words: what must hold, what came, what to type."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
    ValidationError,
)

from gptlab.command.as_typed import unquoted
from gptlab.command.experiment_file import line_of
from gptlab.command.foreign_words import OF_GROUPS, choice_for
from gptlab.command.suggesting import choose, chosen_components, unknown_key
from gptlab.command.sweepers import not_installed
from gptlab.command.verbs import ROOTS
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.experiments import experiment_files
from gptlab.config.keys import Schema, bare
from gptlab.config.schema import UnknownKey, check_choices
from gptlab.errors import UserError, unknown_name
from gptlab.plugins.discovery import shown
from gptlab.plugins.registry import GROUPS, Registry

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, UnknownKey)
IN_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    types.UnionType: "a whole number or a word",  # `int | str`
}


def explain(error: Exception, registry: Registry, overrides: list[str], verb: str) -> UserError:
    """What a person is told of an error that arose while `overrides` were composed to the config of a verb."""
    if isinstance(error, UnknownKey):
        return no_such_key(error.key, registry, overrides, verb)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return missing_option(group, name, error, registry)
    # Hydra hangs OmegaConf's own error, which knows the key, behind the one that it raises.
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, OmegaConfBaseException):
            return explain_value(cause, registry, overrides, verb)
    return UserError(first_lines(error))


def no_such_key(key: str, registry: Registry, overrides: list[str], verb: str) -> UserError:
    """key: as far as it is wrong; the whole of it is among the overrides, or in an experiment's file."""
    schema = Schema(ROOTS[verb], lambda: registry)
    chosen = chosen_components(verb, overrides)
    for text in overrides:
        name, _, value = text.lstrip("+").partition("=")
        if name == key or name.startswith(f"{key}."):
            return unknown_key(name, value, schema, chosen, key)
    return unknown_key(key, "", schema, chosen, place=origin(key, None, overrides))


def explain_value(
    error: OmegaConfBaseException, registry: Registry, overrides: list[str], verb: str
) -> UserError:
    key = error.full_key or ""
    place = origin(key, getattr(error, "value", None), overrides)
    if isinstance(error, (InterpolationResolutionError, UnsupportedInterpolationType)):
        return UserError(f"{key}{place} refers to something that does not exist: {first_lines(error)}.")
    if isinstance(error, (ConfigKeyError, ConfigAttributeError)) and error.parent_node is not None:
        if key.startswith("hydra."):
            known = [
                key.removesuffix(str(error.key)) + str(name) for name in typing.cast(Any, error.parent_node)
            ]
            return unknown_name("key of Hydra's", key, known)
        return no_such_key(key, registry, overrides, verb)
    if isinstance(error, ValidationError) and key:
        wanted = wanted_type(error)
        given = str(getattr(error, "value", None))
        if wanted in IN_WORDS:
            came = "nothing" if given == "None" else given or "an empty text"
            return UserError(f"{key} must be {IN_WORDS[wanted]}: got {came}{place}.")
        if wanted is list:
            return UserError(f"{key} must be a list: got {given}{place}. Try '{key}=[{given}]'.")
        if dataclasses.is_dataclass(wanted):
            keys = [f"{key}.{field.name}" for field in dataclasses.fields(wanted)]
            return UserError(
                f"{key} has keys of its own: got {key}={given}{place}. Set one of {', '.join(keys)}."
            )
    for file in selected_files(overrides):
        check_choices(typing.cast("DictConfig", OmegaConf.load(file)))
    return UserError(f"{key or 'the config'}{place} cannot be set like this: {first_lines(error)}.")


def wanted_type(error: OmegaConfBaseException) -> Any:
    """The type of the field that refused a value; None if it is in no schema."""
    if error.parent_node is None:
        return None
    schema = OmegaConf.get_type(error.parent_node)
    hint = typing.get_type_hints(schema).get(str(error.key)) if dataclasses.is_dataclass(schema) else None
    return typing.get_origin(bare(hint)) or bare(hint)


def origin(key: str, value: Any, overrides: list[str]) -> str:
    """` (in experiments/mine.yaml)` if a key was not typed, with that value, but comes from the experiment."""
    for text in overrides:
        name, _, typed = text.lstrip("+").partition("=")
        if name.startswith(f"{key}.") or (name == key and (value is None or is_written(value, typed))):
            return ""
    files = selected_files(overrides)
    lines = [(file, line_of(file, key)) for file in files]
    found = [f"{shown(file)}, line {line}" for file, line in lines if line is not None]
    return f" (in {', '.join(found or map(shown, files))})" if files else ""


def is_written(value: Any, text: str) -> bool:
    """Whether a text stands for a value, as `1e8` does for 100000000.0."""
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):
        return unquoted(text) == str(value)


def selected_files(overrides: list[str]) -> list[Path]:
    files = experiment_files()
    parts = [text.lstrip("+").partition("=") for text in overrides]
    names = [unquoted(value) for key, _, value in parts if key == EXPERIMENT]
    return [files[name] for name in names if name in files]


def missing_option(group: str, name: str, error: MissingConfigException, registry: Registry) -> UserError:
    if group.partition("/")[0] == EXPERIMENT:
        name = f"{group}/{name}".removeprefix(f"{EXPERIMENT}/")
        hint = "An experiment is a file experiments/NAME.yaml."
        return unknown_name("experiment", name, experiment_files(), hint)
    kinds = {value: key for key, value in GROUPS.items()}
    if group in kinds:
        if choice_for(group, name):
            schema = Schema(ROOTS["train"], lambda: registry)
            return UserError(f"no {kinds[group]} is named '{name}'. {choose(group, name, schema)}")
        about = f" Here {OF_GROUPS[group]}." if group in OF_GROUPS else ""
        hint = registry.hint(kinds[group], name) or f"Select one with {group}=NAME.{about}"
        return unknown_name(kinds[group], name, error.options or [], hint)
    if (missing := not_installed(group, name)) is not None:
        return missing
    if not group:
        return UserError(f"--config-name must name a config that exists: there is no '{name}'.")
    return unknown_name(group, name, error.options or [])


def first_lines(error: Exception) -> str:
    """The error's own words in one line, without the advice that is for programmers."""
    advice = ("full_key:", "object_type=", "reference_type=", "See http")
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line for line in lines if line and not line.startswith(advice)]
    return " ".join(kept[:4]).rstrip(".")
