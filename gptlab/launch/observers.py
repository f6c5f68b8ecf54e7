"""Who hears of a run's steps beside the one that saves: the run itself, the person, the listeners, who looks inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.calling import warn
from gptlab.data.documents import Documents
from gptlab.data.tokenizers import Tokenizer
from gptlab.engines.engine import Session, State
from gptlab.engines.hosts import first_of, of_all
from gptlab.engines.process_memory import peak
from gptlab.errors import TrainingStopped, UserError
from gptlab.inspection.inspection import Inspection, ids_of, inspect_ids
from gptlab.launch import reports
from gptlab.launch.evaluated_model import EvaluatedModel
from gptlab.launch.experiment import Experiment
from gptlab.launch.fitting import is_large
from gptlab.launch.progress import Progress
from gptlab.model.gpt import GPT
from gptlab.model.trains_others import TrainsOthers
from gptlab.plugins.listeners import Listeners
from gptlab.runs.run import Run
from gptlab.training.answering import answers, has_prompts
from gptlab.training.generation import generate
from gptlab.training.loop import Chunk, Observer


class Poller(Observer):
    """What may ask a run to stop: a signal, the sweep that it is of."""

    def __init__(self, *asks: Callable[[], None]):
        self.asks = asks

    def poll(self) -> None:
        asked: BaseException | None = None
        try:
            for ask in self.asks:
                ask()
        except BaseException as error:  # which the other processes of the run are told of before it is raised
            asked = error
        if any(of_all(asked is not None)) and asked is None:
            raise TrainingStopped("another process of the run was asked to stop")
        if asked is not None:
            raise asked


@dataclass
class Recorder(Observer):
    """The run gets its rows, and samples at each evaluation and at its end."""

    run: Run
    experiment: Experiment
    last: int = 0  # the last step, where it is not the plan's

    def ending(self, step: int) -> None:
        self.last = step

    def evaluated(self, step: int, metrics: dict[str, float], state: State) -> dict[str, float]:
        """The most memory that a run that needs much has taken so far, in MiB."""
        return {reports.MEMORY: round(peak() / 2**20)} if is_large(self.experiment) else {}

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        self.run.metrics.append((step, metrics))
        parts, how = self.experiment, self.experiment.sampling
        if how is not None and is_milestone(step, metrics, self.last or parts.plan.numSteps):
            used, blockSize = parts.session.for_evaluation(state), parts.definition.sizes.blockSize
            by = parts.session, used, parts.data.tokenizer, blockSize, how
            held_out = parts.data.held_out
            asks = parts.data.answered and has_prompts(held_out)
            texts = answers(*by, held_out) if asks else generate(*by, parts.data.start)
            self.run.samples.append((step, texts))


@dataclass
class Reporter(Observer):
    """The person sees how far it is."""

    run: Run
    progress: Progress
    numSteps: int
    last: int = 0  # as of Recorder

    def ending(self, step: int) -> None:
        self.last = step

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        if is_milestone(step, metrics, self.last or self.numSteps):
            self.progress.note(reports.milestone(self.run, self.numSteps))
        last = self.run.samples[-1:]
        self.progress.logged(step, metrics, last[0][1] if last and last[0][0] == step else [])

    def chunk_ended(self, state: State, chunk: Chunk) -> None:
        self.progress.update(state.step, chunk.smoothed, chunk.tokens_per_second, chunk.seconds)


@dataclass
class Notifier(Observer):
    """The listeners hear of each row, when all else is done with it."""

    run: Run
    listeners: Listeners
    experiment: Experiment

    def evaluated(self, step: int, metrics: dict[str, float], state: State) -> dict[str, float]:
        if not self.listeners.hear("gptlab_evaluated"):
            return {}
        model = EvaluatedModel(self.experiment, state, step)
        return self.listeners.evaluated(self.run, step, model, metrics)

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        self.listeners.step_ended(self.run, step, metrics)


def is_milestone(step: int, metrics: dict[str, float], numSteps: int) -> bool:
    return "val/loss" in metrics or step == numSteps


LONGEST = 64  # positions of a held-out document that are looked at
LOOKED_AT = 256  # held-out documents of which one is chosen


@dataclass
class Watch(Observer):
    """Inspects one text with the weights of a run as they come to be.

    ids: BOS, the text's, and what follows the last position. every: steps between two inspections, 0 for
    none. on_inspected(step, inspection) gets each. heard: whether anybody does anything with it.
    """

    definition: GPT
    ops: OpTable
    session: Session
    tokenizer: Tokenizer
    ids: Sequence[int]
    every: int
    at_end: bool
    on_inspected: Callable[[int, Inspection], None]
    heard: Callable[[], bool] = lambda: True
    _step: int = field(default=0, init=False)  # the last one that was inspected

    def chunk_ended(self, state: State, chunk: Chunk) -> None:
        """Inspect if this step is one of every so many."""
        if self.every and state.step % self.every == 0:
            self._inspect(state)

    def ended(self, state: State) -> None:
        """Inspect the finished model, if that is wanted and not done."""
        if self.at_end and state.step != self._step:
            self._inspect(state)

    def _inspect(self, state: State) -> None:
        if not self.heard():
            return
        self._step = state.step
        weights = self.session.export(self.session.for_evaluation(state)).weights
        try:
            found = inspect_ids(self.definition, self.ops, weights, self.tokenizer, self.ids)
        except Exception as error:  # a component's own, or no memory: neither may cost a run that is trained
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            warn(f"step {state.step} is not inspected: {reason}")
            self.every, self.at_end = 0, False
            return
        self.on_inspected(state.step, found)


def watch_of(experiment: Experiment, run: Run, listeners: Listeners, in_sweep: bool) -> Watch:
    """What the config's `inspect` asks for; nothing if none of the listeners, once begun, would do anything with it.

    Raises UserError for a text as `inspect` does.
    """
    settings, data = experiment.config.inspect, experiment.data
    definition = experiment.definition
    blockSize = definition.sizes.blockSize
    try:
        documents = [data.held_out, data.train]
        ids = ids_to_watch(settings.text, data.tokenizer, blockSize, documents, data.start)
    except UserError as error:
        raise UserError(f"in inspect: {error}") from None
    at_end = settings.atEnd if settings.atEnd is not None else not in_sweep
    return Watch(
        definition.base if isinstance(definition, TrainsOthers) else definition,
        experiment.model.ops,
        experiment.session,
        data.tokenizer,
        ids,
        (settings.every or 0) if ids else 0,
        at_end and bool(ids),
        lambda step, inspection: listeners.inspected(run, step, inspection),
        lambda: bool(first_of(listeners.hear("gptlab_inspected"))),
    )


def ids_to_watch(
    text: str | None,
    tokenizer: Tokenizer,
    blockSize: int,
    documents: Sequence[Documents],
    start: int | None = None,
) -> list[int]:
    """The ids of the text, or else of a document of the first of `documents` that has one; [] if none has.

    Raises UserError for a text as `inspect` does.
    """
    if text is not None:
        return ids_of(tokenizer, text, blockSize, start)
    return next((a_document(some) for some in documents if len(some)), [])


def a_document(documents: Documents) -> list[int]:
    """The longest of the first ones, cut to LONGEST positions: it has the most to show."""
    first = documents[: min(len(documents), LOOKED_AT)]
    longest = int(np.argmax(first.lengths))
    row = first[longest : longest + 1].tokens[0]
    return [int(i) for i in row[: min(int(first.lengths[longest]), LONGEST) + 1]]
