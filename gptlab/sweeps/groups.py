"""Jobs that differ in nothing but their seed, as one: the mean of their losses, and how far they lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.values import SEED, distinct, finished, is_lost, labels, ranked, shown_loss, shown_value
from gptlab.training.metric_rows import loss_text

CONFIDENCE = 0.95
FEWEST_FOR_P = 6  # seeds: of five even equal signs come by chance in 2 of 32 cases


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
    def by_seed(self) -> dict[str, float]:
        return {run.overrides.get(SEED, ""): run.score or 0.0 for run in self.runs}

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
    """How far a group is behind another, seed by seed: both began with the same numbers and saw the same data.

    seeds: those that both have. mean: of the differences, above 0 where the other is lower. margin: half of the
    CONFIDENCE interval by Student's t. p: of the sign-flip test, None where so few seeds could not reach 0.05. against:
    seeds in which the sign is another than the mean's.
    """

    seeds: int
    mean: float
    margin: float
    p: float | None
    against: int

    @property
    def within_spread(self) -> bool:
        """True if seeds alone could have made it."""
        return abs(self.mean) <= self.margin if self.p is None else self.p > 1 - CONFIDENCE


def behind(group: Group, other: Group) -> list[float]:
    """By how much, for each seed that both have."""
    theirs = other.by_seed
    return [loss - theirs[seed] for seed, loss in group.by_seed.items() if seed in theirs]


def margin_of(differences: Sequence[float]) -> float:
    """Half of the CONFIDENCE interval of their mean; NaN for fewer than two."""
    if len(differences) < 2:
        return math.nan
    from scipy.special import stdtrit  # Student's t, inverted: scipy.stats would take a second to import

    error = stdev(differences) / math.sqrt(len(differences))
    return float(stdtrit(len(differences) - 1, (1 + CONFIDENCE) / 2)) * error


def difference(first: Group, second: Group) -> Difference | None:
    """How far the second is behind; None where they have fewer than two seeds in common."""
    differences = behind(second, first)
    if len(differences) < 2:
        return None
    mean, p = fmean(differences), None
    if len(differences) >= FEWEST_FOR_P:
        from gptlab.statistics.paired import sign_flip

        p = sign_flip(np.array(differences))
    against = sum(difference * mean < 0 for difference in differences)
    return Difference(len(differences), mean, margin_of(differences), p, against)


def verdict(groups: Sequence[Group]) -> str:
    """Whether the best group is better than the next by more than seeds do; empty if there is but one."""
    if len(groups) < 2:
        return ""
    first, second = groups[:2]
    between = difference(first, second)
    if between is None:
        names = [group.name for group in (first, second) if len(group.losses) < 2]
        have = f"{' and '.join(names)} {'have' if len(names) > 1 else 'has'} one seed only"
        apart = f"{first.name} and {second.name} have fewer than two seeds in common: give both the same"
        return f"The best cannot be told from luck: {have if names else apart}."
    counts = sorted({len(first.losses), len(second.losses)})
    of = "" if counts == [between.seeds] else f" of {' and '.join(map(str, counts))}"
    seeds = f"seed by seed over the {between.seeds} seeds{of} that both have"
    low, high = (loss_text(between.mean + sign * between.margin, 4) for sign in (-1, 1))
    how = f"95% interval {low} to {high}"
    how += f", sign-flip p = {between.p:.2g}" if between.p is not None else ""
    few = f"; fewer than {FEWEST_FOR_P} seeds reach no p below 0.05" if between.p is None else ""
    apart = f"The best two, {first.name} and {second.name}, differ by {loss_text(between.mean, 4)} {seeds} ({how}{few})"
    if between.within_spread:
        alike = sum(
            abs(fmean(d)) <= margin_of(d) for d in (behind(g, first) for g in groups[2:]) if len(d) > 1
        )
        others = f" The same holds for {alike:,} more, by their intervals." if alike else ""
        return f"{apart}: no more than seeds alone would, so it may be chance.{others}"
    turned = f", and in {between.against} of them it is the other way round" if between.against else ""
    return f"{apart}: more than seeds alone would{turned}."


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
        lost = f", and it failed or diverged on {self.group.lost} more" if self.group.lost else ""
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
