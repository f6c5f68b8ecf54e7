"""From a command line to a config: what Hydra is asked, and how its errors are told."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from gptlab.cli.composed_once import composed_once
from gptlab.cli.file_nodes import brought_nodes, experiment_nodes
from gptlab.cli.suggesting import chosen_components, unknown_key
from gptlab.cli.typed_keys import check_typed_keys
from gptlab.cli.verbs import ROOTS
from gptlab.config.experiments import folder_of
from gptlab.config.schema import plain, schema_nodes
from gptlab.errors import UserError
from gptlab.plugins.groups import GROUPS
from gptlab.plugins.loading import Plugins, load_plugins, silently, warn

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.cli.command_line import CommandLine


_prepared_here: list[Plugins] = []  # by this process: none, or the latest

GROUP_ROOTS = {group.partition("/")[0] for group in GROUPS.values()}


def prepared(line: CommandLine | None = None, quiet: bool = False) -> Plugins:
    """The plugins loaded, and all that a config can select made known to Hydra.

    line: the command that they are for. quiet: no word of those left out.
    """
    plugins = load_plugins(quiet=quiet) if line is None else line.plugins
    from gptlab.cli.config_source import offer

    files = {
        **brought_nodes(plugins.registry),
        **experiment_nodes(plugins.registry, silently if quiet else warn),
    }
    offer({**schema_nodes(plugins.registry, ROOTS), **files})
    _prepared_here[:] = [plugins]
    return plugins


def plugins_here() -> Plugins:
    """What this process has prepared. One that a launcher started for jobs of a sweep does it now, and quietly:
    the process that launches has said what was left out."""
    return _prepared_here[0] if _prepared_here else prepared(quiet=True)


def settings_of(verb: str, line: CommandLine, plugins: Plugins) -> dict[str, Any]:
    """The checked config of a verb that is no Hydra job."""
    flags = line.flags
    if line.sweeps:
        raise UserError(f"only training sweeps: {verb} takes no --multirun.")
    if flags.config_name or flags.config_path or flags.config_dir:
        raise UserError(f"{verb} takes no --config-name, --config-path or --config-dir.")
    known = [field.name for field in dataclasses.fields(ROOTS[verb])]
    for override in line.overrides:
        root = override.key_or_group.partition("/")[0].partition(".")[0]
        if root in GROUP_ROOTS and root not in known:
            value = str(override.input_line).partition("=")[2]
            chosen = chosen_components(verb, flags.overrides)
            raise unknown_key(override.key_or_group, value, line.verb.schema, chosen, place=f" of {verb}")
    check_typed_keys(line, ROOTS[verb])
    with explained(plugins, flags.overrides, verb):
        return plain(compose(verb, flags.overrides))


def compose_job(flags: argparse.Namespace, overrides: list[str]) -> DictConfig:
    """One job's config, with Hydra's own part, from wherever the flags have Hydra look for configs."""
    if not (flags.config_name or flags.config_path or flags.config_dir):
        return compose("train", overrides, with_hydra=True)
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    search_path = create_config_search_path(os.path.abspath(flags.config_path or str(folder_of("conf"))))
    if flags.config_dir:
        place = f"file://{os.path.abspath(flags.config_dir)}"
        search_path.prepend("command-line", place, SearchPathQuery(provider="schema"))
    try:
        hydra = Hydra.create_main_hydra2("gptlab", search_path)
        return hydra.compose_config(
            flags.config_name or "train", overrides, RunMode.RUN, with_log_configuration=False
        )
    finally:
        GlobalHydra.instance().clear()


def compose(name: str, overrides: list[str], with_hydra: bool = False) -> DictConfig:
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():  # within a job
        return hydra.compose(name, overrides, return_hydra_config=with_hydra)
    with hydra.initialize_config_dir(str(folder_of("conf")), version_base="1.3"):
        return hydra.compose(name, overrides, return_hydra_config=with_hydra)


def makes_sweep(config: DictConfig) -> bool:
    """Whether the config, such as an experiment's file, asks for a sweep."""
    from hydra.types import RunMode

    return bool(config.hydra.mode == RunMode.MULTIRUN)


def through_hydra(name: str, arguments: list[str], job: Callable[[DictConfig], object]) -> None:
    """What `@hydra.main` makes of these arguments: it calls `job` for each config, or shows something."""
    import hydra

    main = hydra.main(version_base="1.3", config_path=str(folder_of("conf")), config_name=name)(job)
    saved = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [sys.argv[0], *arguments]
    # Hydra then raises its errors instead of printing them, so that they can be said in gptlab's words.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        with composed_once():
            main()
    finally:
        sys.argv = saved[0]
        if saved[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = saved[1]


def one_job(
    overrides: list[str],
    job: Callable[[DictConfig], None],
    place: Callable[[DictConfig], AbstractContextManager[None]] = nullcontext,  # type: ignore[assignment]
) -> bool:
    """What `@hydra.main` makes of a single run, from one composed config; False if it is left to `through_hydra`.

    place: is entered before Hydra makes the run's folder and writes its own files there, if it is told to.

    `@hydra.main` composes first to learn the mode and then again to run: the time of a wrong config is
    mostly that. What needs more of Hydra than a folder and a config (a mode set in an experiment,
    callbacks, hydra.verbose) is its own to do.
    """
    import hydra
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import configure_log, run_job
    from hydra.types import HydraContext, RunMode

    with hydra.initialize_config_dir(str(folder_of("conf")), job_name=job.__module__, version_base="1.3"):
        config = hydra.compose("train", overrides, return_hydra_config=True)
        asked = config.hydra
        if asked.mode not in (None, RunMode.RUN) or asked.callbacks or asked.verbose:
            return False
        asked.mode = RunMode.RUN
        configure_log(asked.hydra_logging, asked.verbose)
        context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
        with place(config):
            run_job(job, config, "hydra.run.dir", None, context).return_value  # noqa: B018 - raises what the job raised
    return True


@contextmanager
def explained(plugins: Plugins, overrides: list[str], verb: str = "train") -> Iterator[None]:
    """Hydra's errors become UserErrors that name the key, what it needs, and the nearest names."""
    from gptlab.cli.config_errors import CONFIG_ERRORS, explain

    try:
        yield
    except CONFIG_ERRORS as error:
        raise explain(error, plugins.registry, overrides, verb) from None
