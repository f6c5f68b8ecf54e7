"""The verb `train`, which may be left out: one run, or a sweep's."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.calling import as_called
from gptlab.cli.reading import with_line
from gptlab.command.composing import explained, prepared, requested_of, stay_in
from gptlab.command.line import CommandLine, check_typed_keys
from gptlab.command.sweepers import with_ready_sweeper
from gptlab.command.verbs import ROOTS
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from gptlab.streams import guarded, show
from gptlab.sweeps.naming import run_name

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.runs.run import Run

HELP = """\
gptlab: take a GPT apart, change any piece, see what that does to learning.

  python -m gptlab +experiment=tiny                       train; seconds
  python -m gptlab +experiment=tiny model.nEmbd=32        change a number
  python -m gptlab +experiment=tiny model/norm=layernorm  change a component
  python -m gptlab +experiment=tiny ops.mul=maximum       change what "multiply" means
  python -m gptlab -m +experiment=tiny model.nEmbd=16,32  a sweep, one run per value
  python -m gptlab ablate +experiment=tiny minus='[norm]' what is a part worth? over seeds, with a verdict
  python -m gptlab resume=latest                          go on with a run that was stopped or killed
  python -m gptlab +experiment=questions initFrom=latest  start from the newest run's weights
  python -m gptlab generate prompt="the cat"              sample from the newest run
  python -m gptlab compare RUN RUN                        how runs differ, side by side
  python -m gptlab summary +experiment=tiny               its parts, shapes and costs, without training
  python -m gptlab inspect text="the cat eats" to=html    what the newest run makes of a text, as a page
  python -m gptlab graph expr="relu(a*b)" a=2 b=3         draw the graph of Values of an expression
  python -m gptlab export latest --format=json            write its weights to a file for other programs
  python -m gptlab ui                                     browse the runs in MLflow

VERBS

--cfg job        print the whole config and train nothing (--info defaults: what it is made of)
-m               a sweep over values given as 1,2,3; sweep.resume=latest goes on with one that was stopped
train.logEvery   steps between logged rows; if left out, as many as keep a run to 1,000 rows
train.budget=2m  stop cleanly after this long (90s, 2m, 1h); listeners=[early]: once it gets no better
checkpoint.every steps between checkpoints (by time if left out); the last checkpoint.keep stay, and the best
register=NAME    put the finished model into MLflow's model registry: generate run=models:/NAME@newest
tracking=none    without MLflow
progress=none    print nothing
--hydra-help     Hydra's own flags
--help KEY       a key's meaning, type, default and range: --help train.learningRate, --help model.norm,
                 or those of all keys that begin so: --help model.
Tab completion for `gptlab` and `python -m gptlab`, in bash: eval "$(python -m gptlab -sc install=bash)"\
"""


def run(arguments: list[str]) -> int:
    return with_line("train", with_ready_sweeper(arguments), train)


def train(line: CommandLine) -> int:
    """Train what the line describes."""
    check_typed_keys(line, ROOTS["train"])
    job = OneRun(prepared(line))
    with guarded(forgives=True):  # what a run prints is no reason to end it
        if line.sweeps or not run_one(line, job):
            from gptlab.sweeps.running import run_sweep

            return run_sweep(line, line.arguments, job.plugins)
    if job.error is not None:
        raise job.error
    return 0


def run_one(line: CommandLine, job: OneRun) -> bool:
    """Have Hydra compose the config and run the job with it; False if that asks for a sweep."""
    from gptlab.command import hydra_insides

    try:
        with explained(job.plugins, line.flags.overrides):
            return hydra_insides.run_one(line.flags, job.run, job.place)
    except OSError as error:
        if job.begun:
            raise
        raise UserError(f"Hydra cannot begin: {error}") from None


def of_any_process(overrides: list[str]) -> list[str]:
    """Without which process it is, which says nothing of the run."""
    return [override for override in overrides if not override.lstrip("+").startswith("engine.hosts=")]


class OneRun:
    """The run of a command that is no sweep, as Hydra hands over its config.

    It keeps what went wrong: Hydra prints a line of its own before an error leaves a job.
    """

    def __init__(self, plugins: Plugins):
        self.plugins = plugins
        self.begun = False
        self.error: Exception | None = None
        self.trained: Run | None = None  # once it has ended well
        self._claimed: Path | None = None

    @contextmanager
    def place(self, config: DictConfig) -> Iterator[None]:
        """Claim the folder that Hydra is about to make, before Hydra writes anything there.

        A run that is resumed has a folder already: what Hydra makes goes again.
        """
        from omegaconf import OmegaConf

        from gptlab.launch.following import follower_folder, is_first, join, quiet
        from gptlab.runs.claiming import check_free_for_run, claimed, made

        join(OmegaConf.select(config, "engine.hosts"))
        if not is_first():
            with quiet(), follower_folder() as folder, claimed(folder):
                config.hydra.run.dir, self._claimed = str(folder), folder
                yield
            return
        folder = Path(os.path.abspath(str(OmegaConf.select(config, "hydra.run.dir"))))
        if config.resume is None:
            with claimed(folder):
                self._claimed = folder
                yield
            return
        if config.hydra.output_subdir is not None and folder.is_dir():
            check_free_for_run(folder)  # Hydra would write its own files there
        with made(folder):
            yield

    def run(self, config: DictConfig) -> None:
        """The job."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        self.begun = True
        hydra = HydraConfig.get()
        if hydra.job.chdir:
            stay_in(str(hydra.runtime.cwd))
        # Unresolved: as typed.
        overrides = typing.cast("list[str]", OmegaConf.to_container(hydra.overrides.task))
        name = run_name(of_any_process(overrides), in_sweep=False)
        try:
            self._launch(config, Path(hydra.runtime.output_dir), name, overrides)
        except Exception as error:
            from gptlab.launch.following import lost

            self.error = lost(error) or error

    def _launch(self, config: DictConfig, folder: Path, name: str, overrides: list[str]) -> None:
        from gptlab.cli.next_steps import next_steps
        from gptlab.launch.reports import closing

        with explained(self.plugins, overrides):
            checked = typed(Config, plain(config))
        from gptlab.launch.following import as_follower, is_first

        if not is_first():
            checked = as_follower(checked)
        if checked.sweep.resume is not None:
            raise UserError(
                "sweep.resume goes on with a sweep, by the command that began it: type python -m gptlab -m ... "
                "To go on with one run: python -m gptlab resume=latest"
            )
        if checked.resume is not None:
            run = self._resumed(checked, checked.resume, overrides)
        else:
            requested = requested_of(checked, overrides) if checked.initFrom is not None else None
            # Only now: a wrong config must not wait for what training needs to be imported.
            from gptlab.launch.launch import launch

            held = folder == self._claimed
            run = launch(checked, self.plugins, folder, name, requested=requested, held=held)
        self.trained = run
        if checked.progress != "none":
            lines = [closing(run, in_sweep=False), *next_steps(run, of_any_process(overrides))]
            show("\n".join(lines[:1] + [as_called(line) for line in lines[1:]]))

    def _resumed(self, config: Config, reference: str, overrides: list[str]) -> Run:
        """Go on with the run that `reference` names, which nobody else may do meanwhile, its checkpoint being read."""
        from gptlab.launch.following import check_same_step, is_first, wait_for_first
        from gptlab.launch.resuming import config_to_resume
        from gptlab.runs.claiming import held
        from gptlab.runs.resuming import checkpoint_to_resume, folder_to_resume

        folder = folder_to_resume(reference)
        if not is_first():
            return self._followed(config, folder, reference, overrides)
        with held(folder):
            checkpoint = checkpoint_to_resume(folder, reference)
            wait_for_first()  # the others read now what is put in order
            check_same_step(checkpoint)
            config = config_to_resume(checkpoint, config, overrides, self.plugins)
            from gptlab.launch.launch import launch

            name = checkpoint.state["run"]["name"]
            return launch(config, self.plugins, folder, name, checkpoint, held=True)

    def _followed(self, config: Config, folder: Path, reference: str, overrides: list[str]) -> Run:
        """`_resumed` in another process than the first, which holds the folder."""
        from gptlab.launch.following import as_follower, check_same_step, follower_folder, wait_for_first
        from gptlab.launch.launch import launch
        from gptlab.launch.resuming import config_to_resume
        from gptlab.runs.resuming import checkpoint_to_resume

        wait_for_first()
        checkpoint = checkpoint_to_resume(folder, reference)
        config = as_follower(config_to_resume(checkpoint, config, overrides, self.plugins))
        with follower_folder(folder) as place:
            check_same_step(checkpoint)
            return launch(config, self.plugins, place, checkpoint.state["run"]["name"], checkpoint, held=True)
