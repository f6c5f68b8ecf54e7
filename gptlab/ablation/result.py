"""What an ablation found, as its report, its JSON and the ledger read it.

Losses are in nats a token, of the last evaluation of a run; a difference is the arm's less the baseline's of the same
seed, below 0 where the arm is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["better", "worse", "equivalent", "undecided", "failed"]
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Costs:
    """Of one run, to its end: numbers that are trained, steps, floating-point operations, and seconds of training (the
    mean over seeds)."""

    parameters: int
    steps: int
    flops: float
    seconds: float


@dataclass(frozen=True)
class SeedRun:
    """One run. loss: None where it broke down. folder: relative to the current one. curve: (step, validation loss).

    reused: whether it was there before, from an equal config, code and data.
    """

    seed: int
    status: str
    loss: float | None
    folder: str
    runId: str = ""
    reason: str = ""
    reused: bool = False
    curve: Curve = field(default_factory=list)


@dataclass(frozen=True)
class Setting:
    """An arm, or the baseline, at one value of what is tuned and at one size: its runs, a seed each.

    tuned: the keys of `tune` with their values here; empty: those of the baseline.
    """

    tuned: Mapping[str, str]
    runs: list[SeedRun]
    costs: Costs

    @property
    def losses(self) -> dict[int, float]:
        """By seed, of the runs that did not break down."""
        return {run.seed: run.loss for run in self.runs if run.loss is not None}


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline over the seeds of both.

    seeds: pairs, those too of which a run broke down; the difference and its intervals are of the others. low,
    high: the 95% interval of the difference by Student's t; bootstrap: the same by BCa. p: of the sign-flip
    test, corrected for the looks and the arms, a run that broke down counting as the largest difference there
    is; None where so few seeds cannot reach 0.05. lost: runs of the arm that broke down. needs: about how many
    more seeds would decide; None where that is settled, or no number would.
    """

    seeds: int
    difference: float | None
    low: float | None
    high: float | None
    bootstrap: tuple[float, float] | None
    p: float | None
    verdict: Verdict
    needs: int | None = None
    lost: int = 0


@dataclass(frozen=True)
class Speedup:
    """How much sooner the arm reaches the baseline's final loss, 2.0 being in half of it; None where it never does."""

    steps: float | None
    flops: float | None
    seconds: float | None


@dataclass(frozen=True)
class AtSize:
    """The difference at one size. size: the overrides that make it."""

    size: list[str]
    parameters: int
    baseline: float | None  # mean loss
    arm: float | None
    comparison: Comparison


@dataclass(frozen=True)
class Tuning:
    """The choice of the tuned keys, on seeds of its own. points: (values by key, mean loss or None), in the
    order of the grid.

    best: the values chosen. edge: what to type for a wider grid, empty if the best is within. sensitivity: how much
    the loss rises, on average, a factor of two away from the best value, in nats; None where that cannot be told.
    """

    points: list[tuple[Mapping[str, str], float | None]]
    best: Mapping[str, str]
    edge: str = ""
    sensitivity: float | None = None


@dataclass(frozen=True)
class ArmResult:
    """name: as it is shown. overrides: what sets it apart from the baseline. comparison: where `tune` is given each at
    its own best, and at the baseline's setting in `untuned`. setting: with its runs, at the size of the question."""

    name: str
    overrides: list[str]
    comparison: Comparison
    setting: Setting
    speedup: Speedup
    untuned: Comparison | None = None
    tuning: Tuning | None = None
    sizes: list[AtSize] = field(default_factory=list)


@dataclass(frozen=True)
class Noise:
    """Of the baseline. deviation: of its loss over seeds; with `paired`, of the differences seed by seed.
    detectable: the difference that `seeds` seeds see with 80% power. needed: how many seeds see 0.01 nats. Both
    are of differences: their deviation is only known once an arm has run, and without `paired` taken to be
    sqrt(2) times that of one side, as if pairing gained nothing. sampling: the standard error that the choice
    of held-out documents leaves in a mean loss; adjusted: the same with the data's own probabilities as a
    control variate, None without."""

    deviation: float
    seeds: int
    detectable: float
    needed: int
    paired: bool = False  # whether deviation is of paired differences already
    sampling: float | None = None
    adjusted: float | None = None


@dataclass(frozen=True)
class Ablation:
    """question: in a line. command: the arguments as typed. status: FINISHED, KILLED (stopped) or RUNNING.

    seeds: the most there may be. looks: after how many it was looked. versions: of what trained, for a stranger.
    """

    question: str
    command: list[str]
    date: str
    folder: str
    baseline: Setting
    noise: Noise | None
    arms: list[ArmResult]
    seeds: int
    looks: list[int]
    epsilon: float
    match: str
    status: str = "FINISHED"
    notes: list[str] = field(default_factory=list)
    baselineOverrides: list[str] = field(default_factory=list)
    baselineTuning: Tuning | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    runId: str = ""

    @property
    def settings(self) -> list[tuple[str, Setting]]:
        """By name: the baseline's, then each arm's."""
        return [("baseline", self.baseline), *((arm.name, arm.setting) for arm in self.arms)]
