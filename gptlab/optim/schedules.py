"""Schedules: the learning rate's factor at a step, `schedule(step, numSteps)`, step counting from 0.

With `warmup` steps the factor first climbs in a straight line, (step + 1) / warmup, and what follows
runs over the steps that are left.
"""

import math
from dataclasses import dataclass

from gptlab.errors import require


@dataclass(frozen=True)
class Schedule:
    """The base: warm-up, then `after(share)` with share going from 0 to 1 over the rest.

    warmup: the steps of the climb.
    """

    warmup: int = 0

    def __post_init__(self) -> None:
        require("schedule.warmup", self.warmup, at_least=0, unit="steps", example=0)

    def __call__(self, step: int, numSteps: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        return self.after((step - self.warmup) / max(1, numSteps - self.warmup))

    def after(self, share: float) -> float:
        raise NotImplementedError("a schedule says what comes after the warm-up")


@dataclass(frozen=True)
class Linear(Schedule):
    """From 1 to 0 in a straight line: 1 - step / numSteps."""

    def after(self, share: float) -> float:
        return 1 - share


@dataclass(frozen=True)
class Constant(Schedule):
    """1 throughout."""

    def after(self, share: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `final` (Loshchilov, Hutter 2017, without restarts).

    final: the factor at the end.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("schedule.final", self.final, at_least=0, at_most=1, example=0.1)

    def after(self, share: float) -> float:
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """1 until the decay begins, then final^share, share going from 0 to 1 over the decay (Hu et al. 2024, MiniCPM).

    decay: the share of the steps after the climb in which the rate falls. final: the factor that it falls to.
    """

    decay: float = 0.1
    final: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require("schedule.decay", self.decay, above=0, at_most=1, example=0.1)
        require("schedule.final", self.final, above=0, at_most=1, example=0.1)

    def after(self, share: float) -> float:
        factor: float = self.final ** max(0.0, (share - (1 - self.decay)) / self.decay)
        return factor
