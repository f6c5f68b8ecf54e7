"""What is typed after the verb: Hydra's flags and overrides, checked before Hydra composes anything."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shlex
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, NoReturn

from gptlab.calling import quoted
from gptlab.command.as_typed import as_typed
from gptlab.command.permitted import refuse_code_typed, refuse_resolvers
from gptlab.command.slips import (
    refuse_bare_sweep,
    refuse_bare_word,
    refuse_config_name,
    refuse_dashes,
    refuse_dots,
    refuse_empty,
    refuse_experiments,
    refuse_part,
)
from gptlab.command.suggesting import chosen_components, unknown_key
from gptlab.command.sweepers import GROUP as SWEEP
from gptlab.command.sweepers import values_of_interval
from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.experiments import SIZE, experiment_named
from gptlab.config.keys import Schema
from gptlab.errors import UserError
from gptlab.plugins.registry import GROUPS

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from gptlab.plugins.loading import Plugins


# `listeners` is a list of names, and cannot have fields: who types `listeners.early.patience=5` means `listener.early`.
LISTENERS_FIELD = re.compile(r"^(\+*)listeners\.(?=\w+\.\w+=)")


class VerbKeys:
    """The keys of a verb, and the plugins that add to them, loaded at the first question that needs them.

    runs: whether the plugins in folders may run for it; else their names are read, which is not all that there is.
    """

    def __init__(self, name: str, single: bool | None = None):
        self.name = name
        self.runs = True
        self.single = name != "train" if single is None else single  # one value for each key, never a sweep
        self.launches = VERBS[name].launches
        self.schema = Schema(ROOTS[name], lambda: self.plugins.registry)

    @cached_property
    def plugins(self) -> Plugins:
        from gptlab.plugins.loading import load_plugins
        from gptlab.plugins.reading import read_plugins

        return load_plugins() if self.runs else read_plugins()


@dataclass(frozen=True)
class CommandLine:
    """Arguments that read well, with their texts in quotes; `overrides` are Hydra's parsed ones."""

    arguments: list[str]
    flags: argparse.Namespace
    overrides: list[Override]
    verb: VerbKeys

    @property
    def plugins(self) -> Plugins:
        return self.verb.plugins

    @property
    def sweeps(self) -> bool:
        """True for -m."""
        return bool(self.flags.multirun) or any(
            o.key_or_group == "hydra.mode" and o.value() == "MULTIRUN" for o in self.overrides
        )

    @property
    def shows(self) -> bool:
        """True if Hydra is only to show something: the config, its parts, its help, a completion."""
        flags = self.flags
        return bool(flags.cfg or flags.info is not None or flags.hydra_help or flags.shell_completion)

    def jobs(self) -> Iterator[list[str]]:
        """The overrides of a sweep's jobs: the first, those that differ from it in one key, then all of them.

        Of an interval, in which a sweeper chooses, they have its ends and a few values between.
        """
        choices = [choices_of(override) for override in self.overrides]
        first = [values[:1] for values in choices]
        yield [value for values in first for value in values]
        for i, values in enumerate(choices):
            for value in values[1:]:
                yield [v for one in [*first[:i], [value], *first[i + 1 :]] for v in one]
        yield from (list(job) for job in product(*filter(None, choices)))


def choices_of(override: Override) -> list[str]:
    """The overrides that one with several values stands for."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    if not override.is_discrete_sweep():
        return values_of_interval(override)
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


def read_command_line(arguments: list[str], verb: str = "train", single: bool | None = None) -> CommandLine:
    """single: whether each key takes one value; by default so for all verbs but train.

    Raises UserError for a flag that does not exist and an override that cannot be meant.
    """
    of = VerbKeys(verb, single)
    arguments = [LISTENERS_FIELD.sub(r"\1listener.", argument) for argument in arguments]
    flags = read_flags(arguments, of)
    of.runs = not (flags.shell_completion or flags.hydra_help)
    if flags.shell_completion:
        return CommandLine(arguments, flags, [], of)
    refuse_config_name(flags.config_name)
    refuse_bare_word(flags.overrides, of)
    if not of.single:
        refuse_bare_sweep(flags)
    refuse_experiments(flags.overrides)
    sweeps = bool(flags.multirun) or "hydra.mode=MULTIRUN" in flags.overrides
    written = {text: as_typed(text, of.schema, sweeps, of.single) for text in flags.overrides}
    arguments = [written.get(argument, argument) for argument in arguments]
    flags.overrides = [written[text] for text in flags.overrides]
    line = CommandLine(arguments, flags, [parsed(text) for text in flags.overrides], of)
    for override in line.overrides:
        check_override(override, line)
    return line


def read_flags(arguments: list[str], verb: VerbKeys) -> argparse.Namespace:
    from gptlab.command.hydra_insides import get_args_parser

    parser = get_args_parser()
    refuse_dashes(arguments, list(parser._option_string_actions), verb)
    parser.allow_abbrev = False  # `--experiment` would be --experimental-rerun

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}. See --help and --hydra-help for the flags.")

    parser.error = refuse  # type: ignore[method-assign]
    flags = parser.parse_args(arguments)
    if flags.experimental_rerun is not None:
        raise UserError("--experimental-rerun reads a pickle file, which can run any code: leave it out.")
    chosen = [bool(flags.run), bool(flags.cfg), bool(flags.multirun), flags.info is not None]
    if sum(chosen) > 1:
        raise UserError("only one of --run, --multirun, --cfg and --info can be given.")
    if flags.resolve and not flags.cfg:
        raise UserError("--resolve needs --cfg, which shows the config: type --cfg job --resolve.")
    return flags


def bare_words(arguments: list[str], verb: str) -> list[str]:
    """The arguments that are no flags and no overrides; a path may have a sign of equality in it."""
    words = read_flags(arguments, VerbKeys(verb)).overrides
    return [word for word in words if word[:1] not in "+~" and ("=" not in word or os.path.exists(word))]


def with_bare_word(arguments: list[str], verb: str, key: str) -> list[str]:
    """The one bare word as `key=...`. Raises UserError for a second one."""
    found = bare_words(arguments, verb)
    if len(found) > 1:
        raise UserError(f"only one {key} can be given: got {found[0]} and {found[1]}.")
    return [quoted(key, a) if a in found else a for a in arguments]


def parsed(text: str) -> Override:
    """Hydra's Override. Raises UserError if `text` does not read `key=value`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = text.partition("=")
    if not equals and not text.startswith("~"):
        raise UserError(f"an override must read key=value: got '{text}'.")
    if not key.strip("+~"):
        raise UserError(f"an override must read key=value: got '{text}', which has no key.")
    try:
        return OverridesParser.create().parse_override(text)
    except RecursionError:
        raise UserError(f"an override must not be nested too deep: got {text[:40]}...") from None
    except (HydraException, ValueError):  # ValueError: a number of some thousand digits
        without = ",".join(filter(None, value.split(",")))
        if without != value and not set(value) & set("[]{}()'\""):
            raise UserError(
                f"there must be a value on each side of a comma: got '{text}', where one is empty. Type "
                f"{key}={without or '1,2'}; if the comma is part of one value: {shlex.quote(quoted(key, value))}"
            ) from None
        raise UserError(
            f"an override must read key=value, in Hydra's grammar: got '{text}'. Quote a value with spaces or "
            f"signs so that the shell keeps the quotes: {shlex.quote(quoted(key, value))}"
        ) from None


def check_override(override: Override, line: CommandLine) -> None:
    """Raises UserError for what Hydra would take, or explain, in another way than it was meant."""
    key, text = override.key_or_group, str(override.input_line)
    refuse_resolvers(text, text)
    if override.is_hydra_override():
        refuse_code_typed(text)
        return
    value = text.partition("=")[2]
    groups = [*GROUPS.values(), EXPERIMENT]
    if override.is_delete():
        what = f"choose another with {key}=..." if key in groups else f"set it with {key}=..."
        raise UserError(f"no part of the config can be removed: got '{text}'. Leave out ~{key}, or {what}")
    if override.is_sweep_override() and line.verb.single:
        name = line.verb.name
        only = "" if name == "train" else "only training can sweep: "  # as a call, it makes one run, too
        raise UserError(f"{only}{name} takes one value for each key: got '{text}'.")
    if override.is_sweep_override() and not line.sweeps:
        raise UserError(
            f"several values for one key make a sweep, which needs -m: got '{text}'. Type python -m gptlab -m "
            f"..., or, if a comma is part of one value, {shlex.quote(quoted(text.partition('=')[0], value))}"
        )
    if key == EXPERIMENT and not override.is_add():
        raise UserError(f"an experiment is added with a plus: got '{text}'. Type +{text}.")
    if key == EXPERIMENT and (name := experiment_named(value)) and name != value:
        raise UserError(
            f"an experiment is named without its folder and suffix: got '{text}'. Type +{EXPERIMENT}={name}"
        )
    if key == SIZE and not override.is_add():
        raise UserError(f"a size is added with a plus: got '{text}'. Type +{text}.")
    if key == SWEEP:
        if not override.is_add():
            raise UserError(f"a way to sweep is added with a plus: got '{text}'. Type +{text}.")
        if not line.sweeps and not line.verb.launches:
            raise UserError(
                f"{text} says how a sweep makes its runs, and a sweep needs -m. Type python -m gptlab -m ..."
            )
    if key in GROUPS.values() and (override.is_add() or override.is_force_add()):
        raise UserError(f"{key} always has a choice; change it without a plus: type {text.lstrip('+')}.")
    refuse_empty(key, text)
    if key != SWEEP:  # which is a group as well
        refuse_part(key, value, line.verb)
        refuse_dots(key.lstrip("+"), value, line.verb)
    group = key.replace(".", "/")
    if "." in key and group in GROUPS.values() and not value.startswith("{"):
        raise UserError(f"a component is selected with a slash: got {text}. Type {group}={value}.")
    owner, _, last = key.rpartition(".")
    if last == "name" and owner.replace(".", "/") in GROUPS.values():
        group = owner.replace(".", "/")
        raise UserError(
            f"{group} is selected directly, not by setting its name: got {text}. Type {group}={value}."
        )


def check_typed_keys(line: CommandLine, root: type) -> None:
    """Raises the UserError for a key that a config of this root cannot have. What only Hydra can tell is left to it."""
    if line.flags.config_name or line.flags.config_path or line.flags.config_dir:
        return
    for override in line.overrides:
        if sets_a_key(override):
            wrong = wrong_part(override.key_or_group.split("."), root)
            if wrong is not None:
                value = str(override.input_line).partition("=")[2]
                chosen = chosen_components(line.verb.name, line.flags.overrides)
                raise unknown_key(override.key_or_group, value, line.verb.schema, chosen, wrong)


def sets_a_key(override: Override) -> bool:
    """Whether it sets a key of gptlab's that is there: no group, nothing of Hydra's own, nothing that is added."""
    other = override.is_hydra_override() or override.is_add() or override.is_force_add()
    return not other and override.package is None and "/" not in override.key_or_group


def wrong_part(names: list[str], schema: Any, prefix: str = "") -> str | None:
    """As much of a key, in its parts, as shows that no config can have it; None if one may.

    Where the schema says nothing (a component's fields) anything goes.
    """
    if not names or not dataclasses.is_dataclass(schema):
        return None
    if names[0] not in (field.name for field in dataclasses.fields(schema)):
        return f"{prefix}{names[0]}"
    return wrong_part(names[1:], typing.get_type_hints(schema)[names[0]], f"{prefix}{names[0]}.")
