"""Schedules that look back at what the evaluations have logged, and `plateau`, which is one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gptlab.errors import UserError, require
from gptlab.optim.schedules import Schedule

Evaluated = Sequence[tuple[int, Mapping[str, float]]]  # (step, what was logged of it), oldest first


@dataclass(frozen=True)
class LookingBack(Schedule):
    """The base of a schedule that looks back: its factor is that of a `Schedule`, times `look(evaluated)`.

    What it returns must follow from its argument alone: a run that is resumed asks again, with the rows that its folder
    has kept. It is asked after each evaluation (train.evalEvery), and the answer holds until the next.
    """

    def look(self, evaluated: Evaluated) -> float:
        """evaluated: the evaluations so far, each as it was logged; none before the first."""
        raise NotImplementedError("a schedule that looks back says what it makes of the evaluations")


@dataclass(frozen=True)
class Plateau(LookingBack):
    """Smaller by `factor` each time that a metric has stopped improving; the rule of PyTorch's ReduceLROnPlateau.

    metric: a number that evaluations log, less of which is better. factor: what the rate is multiplied by. patience:
    evaluations without improvement that are let pass; the one after them lowers the rate. threshold: an improvement is
    below the best so far times 1 - threshold. cooldown: evaluations after a lowering that do not count. least: what the
    factor does not fall below.
    """

    metric: str = "val/loss"
    factor: float = 0.5
    patience: int = 2
    threshold: float = 1e-4
    cooldown: int = 0
    least: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("schedule.factor", self.factor, above=0, below=1, example=0.5)
        require("schedule.patience", self.patience, at_least=0, unit="evaluations", example=2)
        require("schedule.threshold", self.threshold, at_least=0, below=1, example=1e-4)
        require("schedule.cooldown", self.cooldown, at_least=0, unit="evaluations", example=0)
        require("schedule.least", self.least, at_least=0, at_most=1, example=0.01)

    def after(self, share: float) -> float:
        return 1.0

    def look(self, evaluated: Evaluated) -> float:
        found, best, without, resting = 1.0, math.inf, 0, 0
        for step, metrics in evaluated:
            if self.metric not in metrics:
                raise UserError(
                    f"schedule.metric must be what each evaluation logs: got {self.metric}, which step {step} does "
                    f"not have. Try one of {', '.join(metrics)}."
                )
            value = metrics[self.metric]
            if value < best * (1 - self.threshold):
                best, without = value, 0
            else:
                without += 1
            if resting:
                resting, without = resting - 1, 0
            if without > self.patience:
                found, without, resting = max(found * self.factor, self.least), 0, self.cooldown
        return found
