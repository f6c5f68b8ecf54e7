"""Every use of what Hydra 1.3 keeps to itself, with composed_once.py. The rest of gptlab keeps to what Hydra documents.

`@hydra.main` takes its arguments from sys.argv and from nowhere else (Hydra's issue 2459), and `hydra.compose` neither
sweeps nor shows anything. So this file calls what those two call:

hydra._internal.utils     get_args_parser: Hydra's flags; create_config_search_path: where configs are looked for
hydra._internal.hydra     Hydra: composes, runs, sweeps, and shows, what it is given
hydra.core.plugins       Plugins: makes the launcher that a config asks for
hydra._internal.callbacks what Hydra and its jobs are made with; .config_loader_impl, in composed_once.py
hydra._internal.core_plugins.basic_sweeper what makes jobs of 1,2,3, by its launcher and validate_batch_is_legal
hydra.grammar.gen, hydra.core.override_parser.overrides_visitor, create_functions: the grammar of an override
sys.argv[0], HYDRA_FULL_ERROR: the name that completion is installed for, and that errors are raised, which Hydra
                          takes from there alone
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from antlr4 import CommonTokenStream, InputStream, ParserRuleContext
from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra._internal.utils import get_args_parser as get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import create_functions
from hydra.core.override_parser.overrides_visitor import HydraErrorListener
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.errors import HydraException, SearchPathException
from hydra.grammar.gen.OverrideLexer import OverrideLexer as OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from gptlab.command.composed_once import ComposedOnce
from gptlab.command.composing import COMPOSING
from gptlab.config.experiments import folder_of

Place = Callable[[DictConfig], AbstractContextManager[None]]


@contextmanager
def hydra_for(flags: argparse.Namespace) -> Iterator[Hydra]:
    """A Hydra that looks for configs where the flags say. Raises SearchPathException for a folder that is not there."""
    version.setbase("1.3")
    search_path = create_config_search_path(os.path.abspath(flags.config_path or folder_of("conf")))
    if flags.config_dir:
        place = os.path.abspath(flags.config_dir)
        if not os.path.isdir(place):
            raise SearchPathException(f"Additional config directory '{place}' not found")
        search_path.prepend("command-line", f"file://{place}", SearchPathQuery(provider="schema"))
    hydra = Hydra("gptlab", ComposedOnce(search_path))
    with COMPOSING:
        GlobalHydra.instance().initialize(hydra)
    try:
        yield hydra
    finally:
        with COMPOSING:
            GlobalHydra.instance().clear()


def compose_job(flags: argparse.Namespace, overrides: list[str]) -> DictConfig:
    """One job's config, with Hydra's own part."""
    with hydra_for(flags) as hydra:
        return hydra.compose_config(flags.config_name or "train", overrides, RunMode.RUN)


def run_one(flags: argparse.Namespace, job: TaskFunction, place: Place = nullcontext) -> bool:  # type: ignore[assignment]
    """What `@hydra.main` makes of a single run, from one composed config; False if that asks for a sweep.

    place: is entered before Hydra makes the run's folder and writes its own files there, if it is told to.
    `@hydra.main` composes first to learn the mode and then again to run: the time of a wrong config is mostly that.
    """
    name = flags.config_name or "train"
    with hydra_for(flags) as hydra:
        config = hydra.compose_config(name, flags.overrides, RunMode.RUN)
        asked = config.hydra
        if asked.mode == RunMode.MULTIRUN:
            return False
        with place(config):
            if asked.callbacks or asked.verbose:  # which is Hydra's own to do
                hydra.run(name, job, [*flags.overrides, "hydra.mode=RUN"])
            else:
                asked.mode = RunMode.RUN
                configure_log(asked.hydra_logging, asked.verbose)
                context = HydraContext(hydra.config_loader, Callbacks())
                run_job(job, config, "hydra.run.dir", None, context).return_value  # noqa: B018 - raises what the job raised
    return True


def multirun(arguments: list[str], job: TaskFunction, beside: Beside | None = None) -> None:
    """Have the sweeper and the launcher that the arguments ask for run the jobs.

    beside: begins them instead of Hydra's basic launcher, for Hydra's basic sweeper.
    """
    flags = get_args_parser().parse_args(arguments)
    name, overrides = flags.config_name or "train", [*flags.overrides, "hydra.mode=MULTIRUN"]
    with hydra_for(flags) as hydra:
        if beside is not None:
            config = hydra.compose_config(name, overrides, RunMode.MULTIRUN)
            if not config.hydra.callbacks:  # which are told of Hydra's own jobs
                typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
                sweeper_beside(hydra, config, job, beside).sweep(typed)
                return
        hydra.multirun(name, job, overrides)


class Beside(Protocol):
    """What may begin jobs in a launcher's place, which spends a quarter of a second on each; some go on meanwhile."""

    def choose(self, waiting: Sequence[Sequence[str]]) -> int:
        """Which of these jobs, by their overrides, is next."""
        ...

    def begin(self, config: DictConfig, overrides: list[str], number: int, output: Path) -> None:
        """config: without Hydra's part."""
        ...

    def settle(self) -> None:
        """Wait for all that go on."""
        ...


class LauncherBeside(Launcher):
    """Begins jobs as Hydra's basic launcher does, but those that need nothing of Hydra's by itself, beside each other.

    It returns while some of them go on.
    """

    def __init__(self, beside: Beside, launcher: Launcher, loader: ComposedOnce, config: DictConfig) -> None:
        self.beside, self.launcher, self.loader, self.config = beside, launcher, loader, config

    def setup(self, **made_with: object) -> None:
        """Nothing: what it needs it was given."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        root = os.path.abspath(self.config.hydra.sweep.dir)
        waiting = list(enumerate(job_overrides, initial_job_idx))
        while waiting:
            number, overrides = waiting.pop(self.beside.choose([job for _, job in waiting]))
            if (task := self.loader.plain_job(self.config, overrides)) is None:
                launch_all(self.launcher, [overrides], number)
                continue
            folder = Path(root, str(number))
            folder.mkdir(parents=True, exist_ok=True)
            self.beside.begin(task, list(overrides), number, folder)
        self.beside.settle()
        return []


def sweeper_beside(hydra: Hydra, config: DictConfig, job: TaskFunction, beside: Beside) -> Any:
    """Hydra's basic sweeper, with a `LauncherBeside` in its launcher's place."""
    context, loader = HydraContext(hydra.config_loader, Callbacks()), hydra.config_loader
    assert isinstance(loader, ComposedOnce)
    made: Any = Plugins.instance().instantiate_sweeper(
        hydra_context=context, task_function=job, config=config
    )
    made.launcher = LauncherBeside(beside, made.launcher, loader, config)
    # Its own composes each job for that.
    made.validate_batch_is_legal = partial(loader.check_jobs, config)
    return made


def launch_all(launcher: Launcher, jobs: Sequence[Sequence[str]], first: int) -> None:
    """Have the launcher run them. Raises what a job raised."""
    for done in launcher.launch([list(overrides) for overrides in jobs], first):
        done.return_value  # noqa: B018 - raises what the job raised


def run_batches(
    arguments: list[str],
    job: TaskFunction,
    batches: Iterable[Sequence[Sequence[str]]],
    begun: int,
    beside: Beside | None = None,
) -> None:
    """Have the launcher that the arguments ask for run jobs, batch after batch: a batch may depend on the last one.

    batches: of each job its overrides, whole. begun: how many jobs there were before, from which they are counted.
    """
    flags = get_args_parser().parse_args(arguments)
    with hydra_for(flags) as hydra:
        config = hydra.compose_config(
            flags.config_name or "train", [*flags.overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN
        )
        context = HydraContext(hydra.config_loader, Callbacks())
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=job, config=config
        )
        if beside is not None and not config.hydra.callbacks:
            loader = hydra.config_loader
            assert isinstance(loader, ComposedOnce)
            launcher = LauncherBeside(beside, launcher, loader, config)
        for batch in filter(None, batches):
            launch_all(launcher, batch, begun)
            if beside is not None:
                beside.settle()
            begun += len(batch)


def show(name: str, flags: argparse.Namespace) -> None:
    """Print what --cfg, --info, --hydra-help or a completion ask for. Raises SystemExit once it is done, or not."""
    name = flags.config_name or name
    saved = sys.argv[0], os.environ.get("HYDRA_FULL_ERROR")
    sys.argv[0] = "gptlab"  # also for python -m gptlab: it is the only command that can be completed
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        with hydra_for(flags) as hydra:
            if flags.hydra_help:
                hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=flags)
            elif flags.shell_completion:
                hydra.shell_completion(name, flags.overrides)
            elif flags.cfg:
                hydra.show_cfg(name, flags.overrides, flags.cfg, flags.package, flags.resolve)
            else:
                hydra.show_info(flags.info, name, flags.overrides)
    finally:
        sys.argv[0] = saved[0]
        if saved[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = saved[1]


def read_value(value: str) -> ParserRuleContext | None:
    """What Hydra's grammar makes of an override's value; None if it refuses it."""
    lexer = OverrideLexer(InputStream(value))
    lexer.mode(OverrideLexer.VALUE_MODE)
    parser = OverrideParser(CommonTokenStream(lexer))
    for reader in (lexer, parser):
        reader.removeErrorListeners()
        reader.addErrorListener(HydraErrorListener())
    try:
        tree = parser.value()
        return tree if parser.getCurrentToken().type == -1 else None  # -1: the end
    except (HydraException, RecursionError):
        return None


def functions() -> set[str]:
    """The names of the functions that an override may call."""
    return set(create_functions().functions)
