"""The one run of a command that is no sweep, as Hydra hands over its config."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.calling import as_called
from gptlab.command.asked import asked_of
from gptlab.command.composing import explained, stay_in
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.errors import TrainingStopped, UserError
from gptlab.plugins.loading import Plugins
from gptlab.sweeps.naming import run_name

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.launch.launch import Outcome


class OneRun:
    """Keeps what went wrong: Hydra prints a line of its own before an error leaves a job."""

    def __init__(self, plugins: Plugins):
        self.plugins = plugins
        self.begun = False
        self.error: UserError | TrainingStopped | None = None
        self._claimed: Path | None = None

    @contextmanager
    def place(self, config: DictConfig) -> Iterator[None]:
        """Claim the folder that Hydra is about to make, before Hydra writes anything there.

        A run that is resumed has a folder already: what Hydra makes goes again.
        """
        from omegaconf import OmegaConf

        from gptlab.runs.claiming import check_free_for_run, claimed, made

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
        name = run_name(overrides, in_sweep=False)
        try:
            self._launch(config, Path(hydra.runtime.output_dir), name, overrides)
        except (UserError, TrainingStopped) as error:
            self.error = error

    def _launch(self, config: DictConfig, folder: Path, name: str, overrides: list[str]) -> None:
        from gptlab.cli.next_steps import next_steps
        from gptlab.launch.reports import closing

        with explained(self.plugins, overrides):
            checked = typed(Config, plain(config))
        if checked.sweep.resume is not None:
            raise UserError(
                "sweep.resume goes on with a sweep, by the command that began it: type python -m gptlab -m ... "
                "To go on with one run: python -m gptlab resume=latest"
            )
        if checked.resume is not None:
            outcome = self._resumed(checked, checked.resume, overrides)
        else:
            asked = asked_of(checked, overrides) if checked.initFrom is not None else None
            # Only now: a wrong config must not wait for what training needs to be imported.
            from gptlab.launch.launch import launch

            held = folder == self._claimed
            outcome = launch(checked, self.plugins, folder, name, asked=asked, held=held)
        if checked.progress != "none":
            lines = [closing(outcome.run, in_sweep=False), *next_steps(outcome.run, overrides)]
            print("\n".join(lines[:1] + [as_called(line) for line in lines[1:]]))

    def _resumed(self, config: Config, reference: str, overrides: list[str]) -> Outcome:
        """Go on with the run that `reference` names, which nobody else may do meanwhile, its checkpoint being read."""
        from gptlab.launch.resuming import config_to_resume
        from gptlab.runs.resuming import checkpoint_to_resume, folder_to_resume, held

        folder = folder_to_resume(reference)
        with held(folder):
            checkpoint = checkpoint_to_resume(folder, reference)
            config = config_to_resume(checkpoint, config, overrides, self.plugins)
            from gptlab.launch.launch import launch

            name = checkpoint.state["run"]["name"]
            return launch(config, self.plugins, folder, name, checkpoint, held=True)
