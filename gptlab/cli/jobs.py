"""The one run of a command that is no sweep, as Hydra hands over its config."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.cli.asked import asked_of
from gptlab.cli.composing import explained
from gptlab.cli.naming import run_name
from gptlab.config import plain
from gptlab.errors import TrainingStopped, UserError
from gptlab.plugins import Plugins

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.checkpoint import Checkpoint


class OneRun:
    """Keeps what went wrong: Hydra prints a line of its own before an error leaves a job."""

    def __init__(self, plugins: Plugins):
        self.plugins = plugins
        self.begun = False
        self.error: UserError | TrainingStopped | None = None

    def run(self, config: DictConfig) -> None:
        """The job."""
        from hydra.core.hydra_config import HydraConfig
        from omegaconf import OmegaConf

        self.begun = True
        hydra = HydraConfig.get()
        # Unresolved: as typed.
        overrides = typing.cast("list[str]", OmegaConf.to_container(hydra.overrides.task))
        name = run_name(overrides, in_sweep=False)
        try:
            self._launch(config, Path(hydra.runtime.output_dir), name, overrides)
        except (UserError, TrainingStopped) as error:
            self.error = error

    def _launch(self, config: DictConfig, folder: Path, name: str, overrides: list[str]) -> None:
        from gptlab.folders import remove_if_unused
        from gptlab.reports import closing

        before = set(folder.iterdir())
        try:
            with explained(self.plugins, overrides):
                settings = plain(config)
            if settings.pop("sweep")["resume"] is not None:
                raise UserError(
                    "sweep.resume goes on with a sweep, by the command that began it: type python -m gptlab -m ... "
                    "To go on with one run: python -m gptlab resume=latest"
                )
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
            print(closing(outcome.run, in_sweep=False))

    def _to_resume(self, settings: dict[str, Any], overrides: list[str]) -> tuple[dict[str, Any], Checkpoint]:
        """The config and the checkpoint of the run that `resume` names."""
        from gptlab.cli.resuming import settings_to_resume
        from gptlab.resuming import run_to_resume

        checkpoint = run_to_resume(settings["resume"])
        return settings_to_resume(checkpoint, settings, overrides, self.plugins), checkpoint
