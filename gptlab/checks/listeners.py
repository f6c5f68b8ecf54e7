"""Checks of a listener: two small runs, of which one ends well, tell it all that a run can."""

from __future__ import annotations

import io
from contextlib import redirect_stdout, suppress
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gptlab.checks.check import Findings
from gptlab.command.composing import config_of
from gptlab.errors import TrainingStopped
from gptlab.launch.launch import JobContext, launch
from gptlab.plugins.hookspecs import hookimpl
from gptlab.plugins.listeners import Listeners, Make, maker_of
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
        "train.evalEvery=2",
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
WELL = "that ends well"
RUNS = {WELL: RUN, "that breaks down": [*RUN, "train.learningRate=1e30", "train.numSteps=50"]}


class Told:
    """Hands on what a run tells, and keeps what goes wrong with it, and what comes of it: numbers, and a stop."""

    def __init__(self, name: str, make: Make):
        self.problems: list[str] = []
        self.found: list[tuple[int, dict[str, float], str]] = []
        self._listeners = Listeners(self.problems.append)
        self._name, self._make = name, make

    @hookimpl
    def gptlab_run_started(self, run: Any) -> None:
        self._listeners.begin(self._name, self._make, run)
        self._listeners.run_started(run)

    @hookimpl
    def gptlab_evaluated(self, run: Any, step: int, model: Any, metrics: dict[str, float]) -> None:
        numbers = self._listeners.evaluated(run, step, model, metrics)
        self.found.append((step, numbers, run.stopped))

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
    """What it prints is not shown; what else it does, it does. One that is registered is told of a second run."""
    make, told = maker_of(plugins, name, {}), {}
    for which, overrides in RUNS.items():
        with findings.trying(f"hears a run {which}") as fails:
            told[which] = told_of(plugins, name, make, overrides)
            for problem in told[which].problems:
                fails(problem)
    if plugins.listens(name) or not findings.checks[-1].passed or WELL not in told:
        return
    with findings.trying("keeps nothing from run to run") as fails:
        again = told_of(plugins, name, make, RUNS[WELL])
        first = [repr(found) for found in told[WELL].found]  # nan is nan
        for one, other in zip_longest(first, map(repr, again.found)):
            if one != other:
                fails(f"(step, numbers, stop) of the same run are first {one} and then {other}")


def told_of(plugins: Plugins, name: str, make: Make, overrides: list[str]) -> Told:
    """A run that one listener is told of."""
    told, config = Told(name, make), config_of(plugins, overrides)
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), suppress(TrainingStopped):
        launch(config, plugins, Path(folder) / "run", name, job=JobContext(listeners={name: told}))
    return told
