"""The training loop: built objects in, metrics out to observers. Knows no config, no tracking."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import cycle

import numpy as np

from gptlab.data.batches import Ahead, Course
from gptlab.data.documents import Documents
from gptlab.engines.engine import Batches, Metrics, Prepares, Session, State, Waits
from gptlab.engines.hosts import first_of
from gptlab.engines.judged import COUNTED
from gptlab.engines.measured import Measures
from gptlab.errors import TrainingStopped
from gptlab.optim.plateau import Evaluated, LookingBack
from gptlab.training.divergence import advice
from gptlab.training.held_out import measured
from gptlab.training.smoothing import SMOOTHED, SmoothedLoss

QUICK = 0.25  # seconds; a chunk of steps that takes less may be longer, so that calls cost nothing
ROWS = 1000
# What ends a run once it is no number any more, and how it is called.
NOT_FINITE = {"train/loss": "loss", "train/objective": "objective", "val/loss": "validation loss"}
SLOW = 1.0  # seconds; one that takes more is too long to wait for after Ctrl-C


def log_every(numSteps: int) -> int:
    """Steps between two logged ones where nobody has said so: 10, 20, 50, 100, ..., for at most ROWS rows.

    A step takes microseconds, MLflow as long to store each of its numbers, and a chart shows a thousand points at best.
    """
    every, factors = 10, cycle((2, 2.5, 2))
    while numSteps > every * ROWS:
        every = int(every * next(factors))
    return every


@dataclass(frozen=True)
class Plan:
    """What to do, in steps. The learning rate of step s (from 0) is `learningRate * schedule(s, numSteps)`.

    Of a schedule that looks back this is multiplied by what it makes of the evaluations before the step.

    logEvery: steps between two logged ones; the first and the last are always logged.
    evalEvery: steps between two evaluations on the held-out documents; one is always made at the end.
    saveEvery, inspectEvery: steps between two that a chunk must end at, for a checkpoint, or to look inside;
    0 for none.
    """

    numSteps: int
    learningRate: float
    schedule: Callable[[int, int], float]
    logEvery: int
    evalEvery: int
    saveEvery: int = 0
    inspectEvery: int = 0

    def is_evaluated(self, step: int) -> bool:
        return step == self.numSteps or (bool(self.evalEvery) and step % self.evalEvery == 0)

    def rates(self, start: int, steps: int, evaluated: Evaluated = ()) -> np.ndarray:
        """evaluated: the evaluations before these steps, of which the last may have one."""
        factors = [self.schedule(s, self.numSteps) for s in range(start, start + steps)]
        rates = self.learningRate * np.array(factors)
        return rates * self.schedule.look(evaluated) if isinstance(self.schedule, LookingBack) else rates


def size_after(size: int, seconds: float) -> int:
    """How many steps the next chunk may have, if one of `size` has taken so long."""
    return size * 2 if seconds < QUICK else max(1, size // 2) if seconds > SLOW else size


@dataclass(frozen=True)
class Chunk:
    """What is known of a chunk of steps once it is reported.

    val_loss: the validation loss at its end, if it was evaluated. smoothed: the training loss. seconds: a step's
    share of what the chunk and its evaluation took; nan where programs may have been compiled for it.
    """

    val_loss: float | None = None
    smoothed: float = math.nan
    tokens_per_second: float = math.nan
    seconds: float = math.nan


class Observer:
    """What a training tells of itself while it goes on, to whom derives from this; each by default does nothing."""

    def poll(self) -> None:
        """Between chunks. Raises what should end the training."""

    def evaluated(self, step: int, metrics: dict[str, float], state: State) -> dict[str, float]:
        """An evaluation is made, of which `metrics` tells so far; what is returned is logged with it."""
        return {}

    def ending(self, step: int) -> None:
        """The training was asked to stop: this step, which comes next, is its last."""

    def logged(self, step: int, metrics: dict[str, float], state: State) -> None:
        """A logged step, in order; an evaluation's numbers come with its step. state: at the end of its chunk."""

    def chunk_ended(self, state: State, chunk: Chunk) -> None:
        """A chunk has ended, and all of it is told: its state may be saved."""


Rows = list[tuple[int, dict[str, float]]]  # the metrics of logged steps


@dataclass
class Training:
    """A run of the loop. `state` is whole between any two chunks, also when `run` ends with an error.

    observers: told in this order. metrics: what else is evaluated on the held-out documents. on_trained: and what on as
    many training documents, the first of them.
    others: more held-out documents, by the name of the metric that their loss is. sets: and those of which all is
    evaluated, by the name that stands before it.
    smoothed: the training loss of the steps that the state has behind it; like the state, it is whole between chunks.
    first: the metrics of step 1; none in what goes on with a run. evaluations: the rows of the plan's own so far.
    stops: whether it is to stop, asked between chunks. It ends with an evaluation then: where the chunk before had one,
    or else after one step more.
    `newest`: the step at which the newest chunk has ended, and its rows: a second signal may keep the observers from
    some of them; one that comes before the rows are known leaves a state that is ahead of them.
    """

    session: Session
    state: State
    plan: Plan
    epochs: Course
    held_out: Documents
    observers: Sequence[Observer] = ()
    _: KW_ONLY
    others: Mapping[str, Documents] = field(default_factory=dict)
    sets: Mapping[str, Documents] = field(default_factory=dict)
    metrics: Measures = ()
    on_trained: Measures = ()
    smoothed: SmoothedLoss = field(default_factory=SmoothedLoss)
    stops: Callable[[], bool] = lambda: False
    evaluations: Rows = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.newest: tuple[int, Rows] = (self.state.step, [])
        self.last = self.plan.numSteps

    def run(self) -> State:
        """Train to the end of the plan, or to where it is asked to stop.

        Raises TrainingStopped if a loss is not finite; what was logged before it has been reported.
        """
        with Ahead(self.prepared) as ahead:
            self.run_chunks(ahead)
        return self.state

    def run_chunks(self, ahead: Ahead) -> None:
        size, a_step = 1, math.nan
        # What is done for the first time is compiled: its time says nothing of the speed.
        compiled, evaluation_compiled = False, False
        chunk = Chunk()
        while self.state.step < self.last:
            stopping = self.last == self.plan.numSteps and bool(first_of(self.stops()))
            if stopping and chunk.val_loss is not None:
                return
            for observer in self.observers:
                observer.poll()
            if stopping:
                self.end_after(self.state.step + 1)
            start = self.state.step
            steps = self.steps_from(start, size)
            batches, rates = ahead.take(start, steps), self.plan.rates(start, steps, self.evaluations)
            # How many come next is known for sure only when these are done; as a rule they take as long as the last.
            end = start + steps
            ahead.begin(end, self.steps_from(end, size_after(size, a_step * steps)))
            began = time.perf_counter()
            state, metrics = self.session.train(self.state, batches, rates)
            seconds = first_of(time.perf_counter() - began)  # by which the next chunk is chosen
            tokens_per_second = float(batches.lengths.sum()) / seconds if compiled else math.nan
            rows = self.rows_of(start, batches, rates, metrics, tokens_per_second)
            self.state, self.newest = state, (end, rows)
            val_loss = self.report(rows)
            evaluated = self.is_evaluated(end)
            known = compiled and (evaluation_compiled or not evaluated)
            took = (time.perf_counter() - began) / steps if known else math.nan
            compiled, evaluation_compiled = True, evaluation_compiled or evaluated
            chunk = Chunk(val_loss, self.smoothed.value, tokens_per_second, took)
            for observer in self.observers:
                observer.chunk_ended(self.state, chunk)
            # Those who wait for each other take the same time for it, and go on by the same number of steps.
            computed = self.session.seconds if isinstance(self.session, Waits) else seconds
            size, a_step = size_after(size, computed), computed / steps

    def end_after(self, step: int) -> None:
        """Have this step, the next, be the last: it is evaluated, and the observers take it for the last."""
        self.last = step
        for observer in self.observers:
            observer.ending(step)

    def is_evaluated(self, step: int) -> bool:
        return step == self.last or self.plan.is_evaluated(step)

    def prepared(self, start: int, steps: int) -> Batches:
        """The batches of steps start+1 ... start+steps, as ready as the engine can have them."""
        batches = self.epochs.chunk(start, steps)
        return self.session.prepare(batches) if isinstance(self.session, Prepares) else batches

    def steps_from(self, step: int, size: int) -> int:
        """At most `size`: a chunk must end at the next evaluation, checkpoint or inspection, and at the end."""
        intervals = (self.plan.evalEvery, self.plan.saveEvery, self.plan.inspectEvery)
        return min([size, self.last - step, *(n - step % n for n in intervals if n)])

    def rows_of(
        self, start: int, batches: Batches, rates: np.ndarray, metrics: Metrics, tokens_per_second: float
    ) -> Rows:
        """The chunk's logged steps, up to the first that is not finite."""
        end = start + len(rates)
        rows: Rows = []
        losses, objectives = metrics.loss.tolist(), metrics.minimized.tolist()
        tokens = batches.lengths.sum(axis=1).tolist()
        counted = metrics.numbers[COUNTED].tolist() if COUNTED in metrics.numbers else tokens
        smoothed = self.smoothed.add(start, losses, counted)
        for i in range(len(rates)):
            step = start + i + 1
            finite = math.isfinite(losses[i]) and math.isfinite(objectives[i])
            evaluated = step == end and self.is_evaluated(end)
            if not (evaluated or not finite or step == 1 or step % self.plan.logEvery == 0):
                continue
            row = {
                "train/loss": losses[i],
                SMOOTHED: smoothed[i],
                "train/tokens": tokens[i],
                "train/learningRate": float(rates[i]),
                "train/gradNorm": float(metrics.gradNorm[i]),
            }
            row |= {f"train/{name}": float(numbers[i]) for name, numbers in metrics.numbers.items()}
            if metrics.objective is not None:
                row["train/objective"] = objectives[i]
            if step == 1:
                self.first = row
            if not math.isnan(tokens_per_second):
                row["train/tokensPerSecond"] = tokens_per_second
            rows.append((step, row))
            if not finite:
                break
        return rows

    def report(self, rows: Rows) -> float | None:
        """Tell of a chunk's logged steps, one by one; the validation loss at its end, if it ends with an evaluation."""
        end = self.state.step
        evaluated = self.is_evaluated(end)
        for step, row in rows:
            try:
                if (
                    evaluated
                    and step == end
                    and all(math.isfinite(row.get(loss, 0.0)) for loss in NOT_FINITE)
                ):
                    row |= self.evaluate()
                    self.tell_evaluated(step, row)
            finally:
                # Also if the evaluation fails: the step was taken, and what it gave is saved.
                self.logged(step, row)
            self.check_finite(step, row)
            if step == end and self.plan.is_evaluated(end):  # not where it was only asked to stop
                self.evaluations.append((step, row))
        return row.get("val/loss") if rows and evaluated else None

    def tell_evaluated(self, step: int, row: dict[str, float]) -> None:
        """Add to an evaluation's numbers what the observers make of it, each knowing those of the ones before."""
        for observer in self.observers:
            row |= observer.evaluated(step, row, self.state)

    def check_finite(self, step: int, row: dict[str, float]) -> None:
        """Raises TrainingStopped for a loss that is no number."""
        # The last update may break the weights with no step after it to show it in its loss.
        for loss, name in NOT_FINITE.items():
            if not math.isfinite(row.get(loss, 0.0)):
                raise TrainingStopped(f"the {name} became {row[loss]} at step {step}. {self.advice()}")

    def advice(self) -> str:
        """What to try if a loss or a weight is not finite."""
        return advice(self.first, self.plan.learningRate)

    def logged(self, step: int, row: dict[str, float]) -> None:
        """Tell the observers, also those behind one that fails: the step was taken."""
        observers = iter(self.observers)
        try:
            for observer in observers:
                observer.logged(step, row, self.state)
        finally:
            for observer in observers:  # there are more only if one has failed
                observer.logged(step, row, self.state)

    def evaluate(self) -> dict[str, float]:
        """The mean cross-entropy a prediction on the held-out documents, and metrics; nothing if there are none."""
        state = self.session.for_evaluation(self.state)
        found: dict[str, float] = {}
        shares: dict[str, float] = {}
        sides = {
            f"{name}/": (some, self.metrics) for name, some in {"val": self.held_out, **self.sets}.items()
        }
        for begin, (some, metrics) in sides.items():
            if metrics and len(some):  # of one forward pass
                found_of = measured(self.session, state, some, metrics)
                total, count = float(found_of.nats.sum()), float(found_of.counted.sum())
                shares |= {f"{begin}{metric}": share for metric, share in found_of.shares().items()}
            else:
                total, count = self.loss_of(state, some)
            if count:  # an objective may count none of them
                found[f"{begin}loss"] = total / count
        for name, some in self.others.items():
            total, count = self.loss_of(state, some)
            if count:
                found[name] = total / count
        if "val/loss" in found:
            loss = found["val/loss"]
            found["val/perplexity"] = math.exp(loss) if loss < 700 else math.inf
        if self.on_trained and (some := self.epochs.documents[: len(self.held_out)]):
            found_of = measured(self.session, state, some, self.on_trained)
            shares |= {f"train/{metric}": share for metric, share in found_of.shares().items()}
        return found | shares

    def loss_of(self, state: State, some: Documents) -> tuple[float, float]:
        """The summed cross-entropies of what counts in the documents, and how much counts."""
        return self.session.evaluate(state, some.told, some.lengths) if len(some) else (0.0, 0.0)
