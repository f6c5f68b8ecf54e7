"""What a sweep will be, known before Hydra makes its folder: its place, its keys, and that a job can be trained."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.command.composing import compose_job, explained, stay_in
from gptlab.command.line import CommandLine
from gptlab.command.sweepers import check_launcher, check_sweeper
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.config.values import check_values
from gptlab.engines.lanes import cores
from gptlab.errors import UserError
from gptlab.plugins.listeners import maker_of
from gptlab.plugins.loading import Plugins
from gptlab.sweeps.folders import check_folders_of_jobs
from gptlab.sweeps.naming import run_name
from gptlab.sweeps.sweep import sweep_folder_of
from gptlab.sweeps.values import labels

if TYPE_CHECKING:
    from omegaconf import DictConfig

TRIED = 100  # jobs at most that are tried for one that can be trained; the rest show when they run
BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
MOST = 4  # jobs at a time: the part of a small one that is Python's takes turns


@dataclass(frozen=True)
class Plan:
    """folder: absolute. swept: keys as typed, with a `+` if they have one. tracking, engine: the first job's.

    in_process: whether the jobs run in this process. resume: whether the folder has been begun before.
    anyway: whether it is gone on with although a plugin has changed. rank: see SweepConfig. at_once: jobs that go on
    side by side in this process.
    """

    folder: Path
    name: str
    swept: tuple[str, ...]
    command: list[str]
    description: str
    tracking: dict[str, Any]
    engine: str
    in_process: bool
    resume: bool
    anyway: bool
    rank: str = "last"
    at_once: int = 1


@dataclass(frozen=True)
class HydraFacts:
    """What Hydra's own part of a config says of a sweep."""

    folder: str
    subdir: str  # as written: it may differ from job to job
    launcher: str
    sweeper: DictConfig
    chdir: bool


def facts_of(hydra: DictConfig) -> HydraFacts:
    """Raises UserError where a name was given for one of Hydra's parts, which are selected with a slash."""
    from omegaconf import DictConfig

    for part in ("launcher", "sweeper"):
        if not isinstance(node := hydra._get_node(part), DictConfig):
            raise UserError(
                f"hydra.{part} has keys of its own, and is selected with a slash: got hydra.{part}={node}. "
                f"Type hydra/{part}={node}"
            )
    return HydraFacts(
        str(hydra.sweep.dir),
        str(hydra.sweep._get_node("subdir")),
        str(hydra.launcher._target_),
        hydra.sweeper,
        bool(hydra.job.chdir),
    )


def plan_sweep(line: CommandLine, plugins: Plugins) -> Plan:
    """Raises UserError if none of the sweep's jobs can be trained, with the reason of the first."""
    for override in line.overrides:
        if override.is_discrete_sweep() and not any(True for _ in override.sweep_string_iterator()):
            raise UserError(
                f"a sweep needs at least one value for each key: {override.input_line} gives none. "
                f"Try {override.get_key_element()}=1,2"
            )
    facts, config = find_valid_job(line, plugins)
    check_launcher(facts.launcher)
    if facts.chdir:
        stay_in(os.getcwd())
    swept = [o.get_key_element() for o in line.overrides if o.is_sweep_override()]
    swept += [str(key) for key in facts.sweeper.get("params") or {} if key not in swept]
    check_sweeper(facts.sweeper, line.overrides, swept)
    reference = config.sweep.resume
    folder = Path(os.path.abspath(facts.folder if reference is None else sweep_folder_of(reference)))
    check_folders_of_jobs(line, facts.sweeper, facts.subdir, folder, new=reference is None)
    fixed = [str(o.input_line) for o in line.overrides if o.get_key_element() not in swept]
    may_be_beside = facts.launcher == BASIC and config.sweep.jobs is None and is_small(config, plugins)
    return Plan(
        folder,
        name_of(fixed, swept),
        tuple(swept),
        list(line.flags.overrides),
        config.description,
        config.tracking,
        config.engine.name,
        facts.launcher == BASIC,
        reference is not None,
        config.anyway,
        config.sweep.rank,
        at_once(config, facts, usual=one_a_core() if may_be_beside else 1),
    )


def at_once(config: Config, facts: HydraFacts, usual: int = 1) -> int:
    """How many jobs go on side by side in this process, unless the config says it; one, where each must be waited for.

    Raises UserError where somebody asks for more, and the launcher has other processes, or the sweeper learns.
    """
    asked = config.sweep.jobs
    if facts.launcher != BASIC or str(facts.sweeper._target_) != BASIC_SWEEPER:
        if asked not in (None, 1):
            other = "launcher" if facts.launcher != BASIC else "sweeper"
            raise UserError(
                f"sweep.jobs is for Hydra's basic launcher and sweeper: the chosen {other} has its own n_jobs. Try "
                f"hydra.{other}.n_jobs={asked}"
            )
        return 1
    return max(usual, config.engine.get("together", 1)) if asked is None else asked


def one_a_core() -> int:
    """As many jobs."""
    return min(cores(), MOST)


def is_small(config: Config, plugins: Plugins) -> bool:
    """Whether jobs of this kind may go on beside each other unasked: another engine than xla has Python compute, and a
    large model takes all cores and much memory by itself."""
    from gptlab.launch.experiment import Experiment
    from gptlab.launch.fitting import is_large

    if config.engine.name != "xla" or config.initFrom is not None:
        return False
    with suppress(UserError):  # which the job will say
        return not is_large(Experiment.of(config, plugins.registry))
    return False


def name_of(fixed: list[str], swept: list[str]) -> str:
    """`nEmbd × nLayer of tiny`: a list of runs cuts names after a few letters."""
    keys = labels(key.lstrip("+") for key in swept).values()
    head = "" if f"+{EXPERIMENT}" in swept else run_name(fixed, in_sweep=False)
    return " of ".join(filter(None, [" × ".join(keys), head]))[:250]


def find_valid_job(line: CommandLine, plugins: Plugins) -> tuple[HydraFacts, Config]:
    """What Hydra says of the sweep, and the config of the first job that can be trained.

    Raises UserError if there is none. Of very many jobs not all are tried: they may show it when they run.
    """
    reasons: list[UserError] = []
    found: tuple[HydraFacts, Config] | None = None
    jobs = line.jobs()
    for overrides in islice(jobs, TRIED):
        try:
            with explained(plugins, overrides):
                config = compose_job(line.flags, overrides)
                facts = facts_of(config.hydra)
                del config._content["hydra"]  # type: ignore[union-attr]
            checked = config_of_job(config, plugins, overrides)
            found = found or (facts, checked)
            check_trainable(checked, plugins)
            return facts, checked
        except UserError as error:
            reasons.append(error)
    if found is not None and next(jobs, None) is not None:
        return found
    raise (
        reasons[0]
        if len({str(reason) for reason in reasons}) == 1
        else UserError(f"none of the jobs can be trained. The first: {reasons[0]}")
    )


def config_of_job(config: DictConfig, plugins: Plugins, overrides: list[str]) -> Config:
    """The checked config of one job of a sweep. Raises UserError."""
    with explained(plugins, overrides):
        checked = typed(Config, plain(config))
    if checked.resume is not None:
        raise UserError(
            "resume goes on with one run: leave out --multirun, or resume the runs one by one. To go on with a "
            f"sweep: python -m gptlab -m ... sweep.resume={checked.resume}"
        )
    return checked


def check_trainable(config: Config, plugins: Plugins) -> None:
    """Raises UserError for what shows without a step: values, names, sizes, ops, the data."""
    from gptlab.launch.experiment import Experiment

    check_values(config)
    for name in config.listeners:
        maker_of(plugins, name, config.listener.get(name, {}))
    if config.initFrom is None:  # else sizes and vocabulary are those of the weights
        Experiment.of(config, plugins.registry).data  # noqa: B018 - read to see whether it can be
