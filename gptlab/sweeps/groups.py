"""Jobs that differ in nothing but their seed, as one: the mean of their losses, and how far they lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.values import SEED, distinct, finished, is_lost, labels, ranked, shown_loss, shown_value
from gptlab.training.metric_rows import loss_text

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Group:
    """overrides: what its jobs have in common of what was swept. losses: the scores of those that finished, one for
    each seed. jobs: how many seeds there were; lost: those whose training broke down. runs: the records of the
    losses."""

    overrides: dict[str, str]
    losses: list[float]
    jobs: int
    lost: int = 0
    runs: tuple[JobRecord, ...] = ()

    @property
    def mean(self) -> float:
        return fmean(self.losses)

    @property
    def deviation(self) -> float:
        """The standard deviation over the seeds, with n - 1; NaN for a single one."""
        return stdev(self.losses) if len(self.losses) > 1 else math.nan

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return self.deviation / math.sqrt(len(self.losses))

    @property
    def name(self) -> str:
        called = labels(self.overrides)
        told = [f"{called[key]}={shown_value(value)}" for key, value in self.overrides.items()]
        return " ".join(told) or "all jobs"

    @property
    def typical(self) -> JobRecord:
        """The run whose score is nearest to the mean: what stands for the group where one run must."""
        return min(self.runs, key=lambda run: (abs((run.score or 0.0) - self.mean), run.number))


def groups_over_seeds(records: Sequence[JobRecord], keys: Sequence[str]) -> list[Group]:
    """The groups that `keys`, without the seed, make, each seed counted once; lowest mean first.

    One where training broke down with some seeds comes after those where it did with none: the mean of
    what is left is that of the lucky. A group where none finished is none.
    """
    others = [key for key in keys if key != SEED]
    runs: dict[tuple[str, ...], list[JobRecord]] = {}
    for record in distinct(records):
        runs.setdefault(tuple(record.overrides.get(key, "") for key in others), []).append(record)
    found = []
    for values, all_of_it in runs.items():
        if done := finished(all_of_it):
            losses = [record.score or 0.0 for record in done]
            lost = sum(map(is_lost, all_of_it))
            overrides = dict(zip(others, values, strict=True))
            found.append(Group(overrides, losses, len(all_of_it), lost, tuple(done)))
    return sorted(found, key=lambda group: (group.lost > 0, group.mean))


@dataclass(frozen=True)
class Difference:
    """Between the means of two groups, by Welch's unequal-variances t-test (Welch, 1947).

    error: the standard error of the difference. freedom: the degrees of freedom (Welch-Satterthwaite).
    margin: half of the CONFIDENCE interval of a difference that is zero.
    """

    size: float
    error: float
    freedom: float
    margin: float

    @property
    def within_spread(self) -> bool:
        """True if seeds alone could have made it."""
        return self.size <= self.margin


def difference(first: Group, second: Group) -> Difference | None:
    """None where a group has one seed only, which shows no spread."""
    if min(len(first.losses), len(second.losses)) < 2:
        return None
    squares = [(group.error**2, len(group.losses)) for group in (first, second)]
    total = sum(square for square, _ in squares)
    size = abs(second.mean - first.mean)
    if total == 0.0:
        return Difference(size, 0.0, math.inf, 0.0)
    from scipy.special import stdtrit  # Student's t, inverted: scipy.stats would take a second to import

    freedom = total**2 / sum(square**2 / (n - 1) for square, n in squares)
    error = math.sqrt(total)
    return Difference(size, error, freedom, float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error)


def verdict(groups: Sequence[Group]) -> str:
    """Whether the best group is better than the next by more than seeds do; empty if there is but one."""
    if len(groups) < 2:
        return ""
    first, second = groups[:2]
    between = difference(first, second)
    if between is None:
        names = [group.name for group in (first, second) if len(group.losses) < 2]
        have = f"{' and '.join(names)} {'have' if len(names) > 1 else 'has'}"
        return f"Which is the best cannot be told apart from luck: {have} one seed only."
    error, margin, size = (loss_text(x, 4) for x in (between.error, between.margin, between.size))
    how = (
        f"Welch's standard error of the difference is {error} (n = {len(first.losses)} and "
        f"{len(second.losses)} different seeds), which puts 95% of what seeds alone would do within {margin}"
    )
    few = "; so few seeds tell little" if min(len(first.losses), len(second.losses)) < 5 else ""
    apart = f"The best two, {first.name} and {second.name}, differ by {size}"
    spread = max(first.deviation, second.deviation)
    if between.within_spread:
        distances = (difference(first, group) for group in groups[1:])
        alike = [other for other in distances if other is not None and other.within_spread]
        others = f" The same holds for {len(alike) - 1:,} more." if len(alike) > 1 else ""
        return f"{apart}: no more than seeds alone would do, it may be chance. {how}{few}.{others}"
    within = f"the spread over seeds ({loss_text(spread, 4)})"
    if between.size < spread:
        return (
            f"{apart}: smaller than {within}, so that single runs often come the other "
            f"way round, but larger than chance explains in the means. {how}{few}."
        )
    return f"{apart}: larger than {within}. {how}{few}."


@dataclass(frozen=True)
class Best:
    """run: the best one, or the one that stands for the best `group` over seeds."""

    run: JobRecord
    group: Group | None = None

    @property
    def overrides(self) -> Mapping[str, str]:
        """What to type again: of a group without the seed."""
        return self.run.overrides if self.group is None else self.group.overrides

    def sentence(self, measure: str) -> str:
        if self.group is None:
            return f"best: {self.run.name}, {measure} {shown_loss(self.run.score)}"
        count = len(self.group.losses)
        seeds = f"{count} seeds" if count > 1 else "one seed"
        lost = f", with {self.group.lost} more it failed or diverged" if self.group.lost else ""
        return (
            f"best over seeds: {self.group.name}, mean {measure} {shown_loss(self.group.mean)} over {seeds}{lost}; "
            f"the run nearest to that mean: {self.run.name}, {shown_loss(self.run.score)}"
        )


def best_of(records: Sequence[JobRecord], swept: Sequence[str]) -> Best | None:
    """None if no job has finished."""
    if SEED not in swept:
        run = next(iter(ranked(finished(records))), None)
        return None if run is None else Best(run)
    group = next(iter(groups_over_seeds(records, swept)), None)
    return None if group is None else Best(group.typical, group)
