"""Implementations of one setting against each other: equal losses first, then time, turn by turn."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from benchmarks.implementations import precision, tolerance
from benchmarks.settings import Setting, Target
from benchmarks.worker import Missing, Worker, WorkerFailed

Timing = TypeVar("Timing")

TRAINED = 2000  # steps before samples are drawn: enough that documents end
MOST_DOUBLINGS = 13  # at most 8,192 steps a call


@dataclass(frozen=True)
class Effort:
    """rounds: how often each is timed. seconds: what one timing takes, about."""

    rounds: int = 21
    seconds: float = 0.1


@dataclass
class Row:
    """One comparison. times: seconds a step (or a whole command) of each round; peak: bytes, both by name.

    ratio: the median over the rounds of subject / against. processor: the same ratio by processor time, on
    one core: far from `ratio` where other work held the core. difference: the largest relative
    difference of their first losses. note: why there are no numbers, if there are none.
    """

    setting: str
    title: str
    threads: str
    subject: str
    against: str
    quantity: str
    atMost: float | None
    times: dict[str, list[float]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)
    ratio: float | None = None
    processor: float | None = None
    difference: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.atMost is None or self.ratio is None:
            return None
        return self.ratio <= self.atMost

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def measure(setting: Setting, threads: str, effort: Effort) -> list[Row]:
    """A row for each of the setting's targets."""
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(threads)) for name in setting.implementations}
        notes = prepare(setting, workers)
        ready = {name: worker for name, worker in workers.items() if name not in notes}
        differences = compare_texts(ready) if setting.samples else compare_losses(setting, ready)
        equal = {name: worker for name, worker in ready.items() if differences[name][1] == ""}
        notes |= {name: note for name, (_, note) in differences.items() if note}
        timings = {
            name: generation_timing(worker) if setting.samples else step_timing(worker, effort, setting.check)
            for name, worker in equal.items()
        }
        turns = take_turns(timings, effort.rounds)
        times = {name: [wall for wall, _ in pairs] for name, pairs in turns.items()}
        processor = {name: [cpu for _, cpu in pairs] for name, pairs in turns.items()}
        peaks = {name: worker.ask("peak") for name, worker in equal.items()}
    rows = []
    for target in setting.targets:
        row = row_of(setting, threads, target, notes)
        if not row.note:
            pair = (target.subject, target.against)
            row.times = {name: times[name] for name in pair}
            row.peak = {name: peaks[name] for name in pair}
            row.difference = max(differences[name][0] for name in pair)
            row.ratio = (
                peaks[target.subject] / peaks[target.against]
                if target.quantity == "memory"
                else median_ratio(times[target.subject], times[target.against])
            )
            if threads == "one" and target.quantity == "time":
                row.processor = median_ratio(processor[target.subject], processor[target.against])
        rows.append(row)
    return rows


def row_of(setting: Setting, threads: str, target: Target, notes: dict[str, str]) -> Row:
    note = "; ".join(notes[name] for name in (target.subject, target.against) if name in notes)
    return Row(
        setting.name,
        setting.title,
        threads,
        target.subject,
        target.against,
        target.quantity,
        target.atMost,
        note=note,
    )


def median_ratio(subject: list[float], against: list[float]) -> float:
    """Round by round, since both of a round met the same state of the machine."""
    return statistics.median(s / a for s, a in zip(subject, against, strict=True))


def prepare(setting: Setting, workers: dict[str, Worker]) -> dict[str, str]:
    """Make every implementation ready; why some are not."""
    notes = {}
    for name, worker in workers.items():
        try:
            if setting.samples:
                worker.ask(
                    "generator",
                    implementation=name,
                    task=setting.task,
                    samples=setting.samples,
                    trained=TRAINED,
                )
            else:
                worker.ask("trainer", implementation=name, task=setting.task)
        except Missing as missing:
            notes[name] = f"{name} left out: {missing}"
        except WorkerFailed as failed:
            notes[name] = f"{name} failed: {failed}"
    return notes


def compare_losses(setting: Setting, workers: dict[str, Worker]) -> dict[str, tuple[float, str]]:
    """By name: the largest relative difference to the reference, and what is wrong with it, if anything.

    The reference is a float64 implementation, where there is one.
    """
    losses = {name: worker.ask("losses", steps=setting.check) for name, worker in workers.items()}
    reference = next((name for name in losses if precision(name) == "float64"), next(iter(losses), ""))
    found = {}
    for name, own in losses.items():
        difference = largest_difference(own, losses[reference])
        allowed = tolerance(name, reference)
        wrong = f"{name}'s losses differ from {reference}'s by {difference:.1e}, more than {allowed:.0e}"
        found[name] = (difference, "" if difference <= allowed else wrong)
    return found


def largest_difference(losses: list[float], reference: list[float]) -> float:
    """Relative; infinite if a loss is not a number."""
    differences = [abs(a - b) / abs(b) for a, b in zip(losses, reference, strict=True)]
    return max(d if math.isfinite(d) else math.inf for d in differences)


def compare_texts(workers: dict[str, Worker]) -> dict[str, tuple[float, str]]:
    """Without chance all must write the same; with it, texts of about the same length."""
    greedy = {name: worker.ask("texts", temperature=0.0, seed=0) for name, worker in workers.items()}
    drawn = {name: worker.ask("texts", temperature=0.8, seed=0) for name, worker in workers.items()}
    words = {name: sum(len(text.split()) for text in texts) / len(texts) for name, texts in drawn.items()}
    reference = next(reversed(workers), "")
    found = {}
    for name in workers:
        difference = abs(words[name] / words[reference] - 1)
        wrong = ""
        if greedy[name] != greedy[reference]:
            wrong = f"{name}'s likeliest text is not {reference}'s"
        elif difference > 0.1:
            wrong = f"{name}'s texts have {words[name]:.2f} words on average, {reference}'s {words[reference]:.2f}"
        found[name] = (difference, wrong)
    return found


def step_timing(worker: Worker, effort: Effort, compiled: int) -> Callable[[], tuple[float, float]]:
    """Seconds a step, of as many steps as take about `effort.seconds`.

    compiled: a number of steps that has been run already.
    """
    estimate = worker.ask("seconds", steps=compiled)[0] / compiled
    steps = 2 ** max(0, min(round(math.log2(effort.seconds / estimate)), MOST_DOUBLINGS))
    worker.ask("seconds", steps=steps)  # another number of steps may be another program

    def a_step() -> tuple[float, float]:
        wall, processor = worker.ask("seconds", steps=steps)
        return wall / steps, processor / steps

    return a_step


def generation_timing(worker: Worker) -> Callable[[], tuple[float, float]]:
    seeds = iter(range(1, 1 << 30))
    return lambda: tuple(worker.ask("generation_seconds", temperature=0.8, seed=next(seeds)))


def take_turns(timings: dict[str, Callable[[], Timing]], rounds: int) -> dict[str, list[Timing]]:
    """Each once a round; every other round backwards, so that nobody always comes first."""
    times: dict[str, list[Timing]] = {name: [] for name in timings}
    for turn in range(rounds):
        for name in list(timings)[:: -1 if turn % 2 else 1]:
            times[name].append(timings[name]())
    return times
