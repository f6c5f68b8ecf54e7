"""Checks of a listener: two small runs, of which one ends well, tell it all that a run can."""

from __future__ import annotations

import io
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gptlab.checks.check import Findings
from gptlab.command.composing import config_of
from gptlab.errors import TrainingStopped
from gptlab.launch.launch import JobContext, launch
from gptlab.plugins.hookspecs import hookimpl
from gptlab.plugins.listeners import Listeners
from gptlab.plugins.loading import Plugins

RUN = [
    *(
        "data=names",
        "data.valFraction=0.001",
        "tokenizer=char",
        "model.nEmbd=8",
        "model.nHead=2",
        "train.numSteps=4",
        "train.logEvery=1",
    ),
    *(
        "inspect.every=2",
        "checkpoint.every=2",
        "checkpoint.keep=1",
        "tracking=none",
        "progress=none",
        "samples.n=0",
    ),
]
RUNS = {"that ends well": RUN, "that breaks down": [*RUN, "train.learningRate=1e30", "train.numSteps=50"]}


class Told:
    """Hands on what a run tells, and keeps what goes wrong with it."""

    def __init__(self, name: str, module: Any):
        self.problems: list[str] = []
        self._listeners = Listeners(self.problems.append)
        self._listeners.add(name, module)

    @hookimpl
    def gptlab_run_started(self, run: Any) -> None:
        self._listeners.run_started(run)

    @hookimpl
    def gptlab_step_ended(self, run: Any, step: int, metrics: dict[str, float]) -> None:
        self._listeners.step_ended(run, step, metrics)

    @hookimpl
    def gptlab_checkpoint_saved(self, run: Any, folder: Any, step: int, removed: list[Any]) -> None:
        self._listeners.checkpoint_saved(run, folder, step, removed)

    @hookimpl
    def gptlab_inspected(self, run: Any, step: int, inspection: Any) -> None:
        self._listeners.inspected(run, step, inspection)

    @hookimpl
    def gptlab_run_ended(self, run: Any, error: BaseException | None) -> None:
        self._listeners.run_ended(run, error)


def check_a_listener(plugins: Plugins, name: str, findings: Findings) -> None:
    """What it prints is not shown; what else it does, it does."""
    for which, overrides in RUNS.items():
        with findings.trying(f"hears a run {which}") as fails, TemporaryDirectory() as folder:
            told = Told(name, plugins.listener(name))
            config = config_of(plugins, overrides)
            with redirect_stdout(io.StringIO()), suppress(TrainingStopped):
                launch(config, plugins, Path(folder) / "run", name, job=JobContext(listeners={name: told}))
            for problem in told.problems:
                fails(problem)
