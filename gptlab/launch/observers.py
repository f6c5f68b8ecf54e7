"""Who hears of a run's steps beside those that save and inspect: the run itself, the person, the listeners."""

from __future__ import annotations

from collections.abc import Callable

from gptlab.engines.engine import State
from gptlab.launch import reports
from gptlab.launch.experiment import Experiment
from gptlab.launch.progress import Progress
from gptlab.plugins.listeners import Listeners
from gptlab.runs.run import Run
from gptlab.training.generation import generate
from gptlab.training.loop import Chunk, Observer


class Polled(Observer):
    """What may ask a run to stop: a signal, the sweep that it is of."""

    def __init__(self, *asks: Callable[[], None]):
        self.asks = asks

    def poll(self) -> None:
        for ask in self.asks:
            ask()


class Kept(Observer):
    """The run gets its rows, and samples at each evaluation and at its end."""

    def __init__(self, run: Run, experiment: Experiment):
        self.run = run
        self.experiment = experiment

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        self.run.metrics.append((step, metrics))
        parts, how = self.experiment, self.experiment.sampling
        if how is not None and is_milestone(step, metrics, parts.plan.numSteps):
            used, blockSize = parts.session.for_evaluation(state), parts.definition.sizes.blockSize
            texts = generate(parts.session, used, parts.data.tokenizer, blockSize, how, parts.data.start)
            self.run.samples.append((step, texts))


class Shown(Observer):
    """The person sees how far it is."""

    def __init__(self, run: Run, progress: Progress, numSteps: int):
        self.run = run
        self.progress = progress
        self.numSteps = numSteps

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        if is_milestone(step, metrics, self.numSteps):
            self.progress.note(reports.milestone(self.run, self.numSteps))
        last = self.run.samples[-1:]
        self.progress.logged(step, metrics, last[0][1] if last and last[0][0] == step else [])

    def chunk_ended(self, state: State, chunk: Chunk) -> None:
        self.progress.update(state.step, chunk.smoothed, chunk.tokens_per_second, chunk.seconds)


class Told(Observer):
    """The listeners hear of each row, when all else is done with it."""

    def __init__(self, run: Run, listeners: Listeners):
        self.run = run
        self.listeners = listeners

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        self.listeners.step_ended(self.run, step, metrics)


def is_milestone(step: int, metrics: dict[str, float], numSteps: int) -> bool:
    return "val/loss" in metrics or step == numSteps
