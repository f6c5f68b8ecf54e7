"""The runs of one command: one, or those of a sweep, each as Hydra hands over its config."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.cli.asked import asked_of
from gptlab.cli.composing import explained
from gptlab.cli.naming import run_name
from gptlab.config import plain
from gptlab.errors import TrainingStopped, UserError
from gptlab.experiments import GROUP as EXPERIMENT
from gptlab.plugins import Plugins

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.checkpoint import Checkpoint
    from gptlab.cli.command_line import CommandLine


class Jobs:
    """Runs jobs and keeps what went wrong in each: a sweep's others go on.

    Hydra prints a line of its own before an error leaves a job, so none that is explained leaves it.
    """

    def __init__(self, plugins: Plugins, line: CommandLine):
        self.plugins = plugins
        self.in_sweep = line.sweeps
        self.swept = {o.get_key_element() for o in line.overrides if o.is_sweep_override()}
        self.begun = 0
        self.errors: list[UserError | TrainingStopped] = []

    def run(self, config: DictConfig) -> None:
        """One job."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        self.begun += 1
        hydra = HydraConfig.get()
        # Unresolved: as typed.
        overrides = typing.cast("list[str]", OmegaConf.to_container(hydra.overrides.task))
        name = self.name(overrides)
        try:
            self._launch(config, Path(hydra.runtime.output_dir), name, overrides)
        except (UserError, TrainingStopped) as error:
            self.errors.append(error)
            if self.in_sweep:
                print(f"gptlab: {name}: {error}", file=sys.stderr, flush=True)

    def _launch(self, config: DictConfig, folder: Path, name: str, overrides: list[str]) -> None:
        from gptlab.folders import remove_if_unused
        from gptlab.reports import closing

        before = set(folder.iterdir())
        try:
            with explained(self.plugins, overrides):
                settings = plain(config)
            asked = asked_of(settings, overrides) if settings["initFrom"] is not None else None
            checkpoint = None
            if settings["resume"] is not None:
                settings, checkpoint = self._to_resume(settings, overrides)
            # Only now: a wrong config must not wait for what training needs to be imported.
            from gptlab.launch import launch

            if checkpoint is None:
                outcome = launch(settings, self.plugins, folder, name, asked=asked)
            else:
                run_folder, name = checkpoint.folder.parent.parent, checkpoint.state["run"]["name"]
                outcome = launch(settings, self.plugins, run_folder, name, checkpoint)
        finally:
            remove_if_unused(folder, before)
        if settings["progress"] != "none":
            print(closing(outcome.run, self.in_sweep))

    def _to_resume(self, settings: dict[str, Any], overrides: list[str]) -> tuple[dict[str, Any], Checkpoint]:
        """The config and the checkpoint of the run that `resume` names."""
        from gptlab.cli.resuming import settings_to_resume
        from gptlab.resuming import run_to_resume

        if self.in_sweep:
            raise UserError(
                "resume goes on with one run: leave out --multirun, or resume the runs one by one."
            )
        checkpoint = run_to_resume(settings["resume"])
        return settings_to_resume(checkpoint, settings, overrides, self.plugins), checkpoint

    def name(self, overrides: list[str]) -> str:
        """What the run is called: in a sweep by what differs from run to run."""
        differing = [text for text in overrides if text.partition("=")[0] in self.swept]
        if not self.in_sweep or not differing:
            return run_name(overrides, self.in_sweep)
        return run_name(differing, in_sweep=f"+{EXPERIMENT}" not in self.swept)

    @property
    def all_refused(self) -> bool:
        """True if no job got as far as training."""
        refused = [error for error in self.errors if isinstance(error, UserError)]
        return bool(refused) and len(refused) == self.begun
