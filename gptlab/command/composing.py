"""From a command line to a config: what Hydra is asked, and how its errors are told."""

from __future__ import annotations

import argparse
import dataclasses
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.calling import warn
from gptlab.command.line import check_typed_keys
from gptlab.command.suggesting import chosen_components, unknown_key
from gptlab.command.sweepers import GROUP as SWEEP
from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.experiments import folder_of
from gptlab.config.schema import plain, schema_nodes
from gptlab.config.typed import Config, as_dict, flatten, typed
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins, load_plugins, silently
from gptlab.plugins.registry import GROUPS

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.command.line import CommandLine

TAKEN = ("model", "ops", "tokenizer")  # what initFrom takes over
OWN = ("model.adapter.", "model.reparametrization.")  # of which these are the run's own
# Hydra composes for the whole process. Jobs that go on beside others do it, too: of what their run was (sweep.resume),
# and of what a model is by itself (initFrom).
COMPOSING = threading.RLock()
GROUP_ROOTS = {group.partition("/")[0] for group in GROUPS.values()}


def prepared(line: CommandLine | None = None, quiet: bool = False) -> Plugins:
    """The plugins loaded, and all that a config can select made known to Hydra.

    line: the command that they are for. quiet: no word of those left out.
    """
    plugins = load_plugins(quiet=quiet) if line is None else line.plugins
    make_known(plugins, quiet)
    return plugins


def make_known(plugins: Plugins, quiet: bool = False) -> None:
    """To Hydra, all that a config can select."""
    from gptlab.command.source import brought_nodes, experiment_nodes, offer

    registry, say = plugins.registry, silently if quiet else warn
    offer(
        plugins,
        {**schema_nodes(registry, ROOTS), **brought_nodes(registry), **experiment_nodes(registry, say)},
    )


def config_of(plugins: Plugins, overrides: list[str]) -> Config:
    """That of a run, from overrides that are right."""
    make_known(plugins, quiet=True)
    return typed(Config, plain(compose("train", overrides)))


def plugins_here() -> Plugins:
    """What this process has prepared. One that a launcher started for jobs of a sweep does it now, and quietly:
    the process that launches has said what was left out."""
    from gptlab.command.source import NodeSource

    return prepared(quiet=True) if NodeSource.offered is None else NodeSource.offered[0]


def settings_of(verb: str, line: CommandLine, plugins: Plugins) -> dict[str, Any]:
    """The checked config of a verb that is no Hydra job."""
    flags, root = line.flags, VERBS[verb].root or verb
    if line.sweeps:
        raise UserError(f"only training can sweep: leave --multirun out of {verb}.")
    if flags.config_name or flags.config_path or flags.config_dir:
        raise UserError(f"{verb} takes no --config-name, --config-path or --config-dir.")
    known = [field.name for field in dataclasses.fields(ROOTS[root])]
    for override in line.overrides:
        part = override.key_or_group.partition("/")[0].partition(".")[0]
        if part in GROUP_ROOTS and part not in known:
            value = str(override.input_line).partition("=")[2]
            chosen = chosen_components(root, flags.overrides)
            raise unknown_key(override.key_or_group, value, line.verb.schema, chosen, place=f" of {verb}")
    check_typed_keys(line, ROOTS[root])
    words = [text for text in flags.overrides if not (VERBS[verb].launches and is_of_launcher(text))]
    with explained(plugins, words, root):
        return plain(compose(root, words))


def is_of_launcher(override: str) -> bool:
    """Whether it says how runs are launched; what it may say there is known where a sweep is composed."""
    key = override.partition("=")[0].lstrip("+~")
    return key == SWEEP or key.partition(".")[0].partition("/")[0] == "hydra"


def compose_job(flags: argparse.Namespace, overrides: list[str]) -> DictConfig:
    """One job's config, with Hydra's own part, from wherever the flags have Hydra look for configs."""
    from gptlab.command import hydra_insides

    return hydra_insides.compose_job(flags, overrides)


def compose(name: str, overrides: list[str]) -> DictConfig:
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    with COMPOSING:
        if GlobalHydra.instance().is_initialized():  # within a job
            return hydra.compose(name, overrides)
        with hydra.initialize_config_dir(str(folder_of("conf")), version_base="1.3"):
            return hydra.compose(name, overrides)


@contextmanager
def explained(
    plugins: Plugins, overrides: list[str], verb: str = "train", runs_jobs: bool = False
) -> Iterator[None]:
    """Hydra's errors become UserErrors that name the key, what it needs, and the nearest names.

    runs_jobs: whether more is done meanwhile than to compose a config, with errors of its own.
    """
    from gptlab.command.errors import CONFIG_ERRORS, explain, first_lines

    try:
        yield
    except CONFIG_ERRORS as error:
        raise explain(error, plugins.registry, overrides, verb) from None
    except (UserError, OSError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = Path(str(error.filename)).name
            raise UserError(f"no config has a name this long: {name}") from None
        raise
    except Exception as error:
        if runs_jobs:
            raise
        # Whatever Hydra and OmegaConf stumble over: it came from what was typed.
        raise UserError(
            f"the config cannot be composed: {first_lines(error) or type(error).__name__}."
        ) from error


def stay_in(folder: str) -> None:
    """Leave the folder of the run that `hydra.job.chdir` has gone to: what is typed is meant from here."""
    os.chdir(folder)
    warn(
        "hydra.job.chdir=true has no effect: paths and the MLflow store stay relative to the folder in which you "
        "type the command. A run's own files are in its own folder anyway."
    )


def requested_of(config: Config, overrides: list[str]) -> dict[str, Any]:
    """`{"model.nEmbd": 32, "model.norm.name": "layernorm"}`: what is typed, and what an experiment changes.

    Of that `initFrom` must not pass over anything.
    """
    defaults = flatten(plain(compose("train", [])))
    typed = [text.partition("=")[0].lstrip("+") for text in overrides]
    requested = {}
    for key, value in flatten(as_dict(config)).items():
        if key.partition(".")[0] not in TAKEN or key.startswith(OWN):
            continue
        differs = key in defaults and value != defaults[key]
        if differs or any(names(override, key) for override in typed):
            requested[key] = value
    return requested


def names(override: str, key: str) -> bool:
    """Whether an override's key is this one, holds it, or selects the component that it names."""
    if override in GROUPS.values():
        return key == f"{override.replace('/', '.')}.name"
    return f"{key}.".startswith(f"{override}.")
