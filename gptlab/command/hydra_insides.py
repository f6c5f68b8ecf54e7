"""Every use of what Hydra 1.3 keeps to itself, with composed_once.py. The rest of gptlab keeps to what Hydra documents.

`@hydra.main` takes its arguments from sys.argv and from nowhere else (Hydra's issue 2459), and `hydra.compose` neither
sweeps nor shows anything. So this file calls what those two call:

hydra._internal.utils     get_args_parser: Hydra's flags; create_config_search_path: where configs are looked for
hydra._internal.hydra     Hydra: composes, runs, sweeps, and shows, what it is given
hydra.core.plugins       Plugins: makes the launcher that a config asks for
hydra._internal.callbacks what Hydra and its jobs are made with; .config_loader_impl, in composed_once.py
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
from pathlib import Path
from typing import Protocol

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
from hydra.core.utils import configure_log, run_job
from hydra.errors import HydraException, SearchPathException
from hydra.grammar.gen.OverrideLexer import OverrideLexer as OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig

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


def multirun(arguments: list[str], job: TaskFunction) -> None:
    """Have the sweeper and the launcher that the arguments ask for run the jobs."""
    flags = get_args_parser().parse_args(arguments)
    with hydra_for(flags) as hydra:
        hydra.multirun(flags.config_name or "train", job, [*flags.overrides, "hydra.mode=MULTIRUN"])


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
        loader = hydra.config_loader
        assert isinstance(loader, ComposedOnce)

        def launch(some: Sequence[Sequence[str]], number: int) -> None:
            for done in launcher.launch([list(overrides) for overrides in some], number):
                done.return_value  # noqa: B018 - raises what the job raised

        for batch in filter(None, batches):
            if beside is None or config.hydra.callbacks:
                launch(batch, begun)
            else:
                waiting = list(enumerate(batch, begun))
                while waiting:
                    number, overrides = waiting.pop(beside.choose([job for _, job in waiting]))
                    if (task := loader.plain_job(config, overrides)) is None:
                        launch([overrides], number)
                        continue
                    folder = Path(os.path.abspath(config.hydra.sweep.dir), str(number))
                    folder.mkdir(parents=True, exist_ok=True)
                    beside.begin(task, list(overrides), number, folder)
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
