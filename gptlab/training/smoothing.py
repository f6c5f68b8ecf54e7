"""The smoothed training loss: one average, which every place that shows one shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gptlab.training.metric_rows import Metrics

LOSS, SMOOTHED, TOKENS = "train/loss", "train/smoothedLoss", "train/tokens"
SHARE = 10  # the last one of so many parts of the steps so far is averaged


@dataclass
class SmoothedLoss:
    """The mean training loss in nats a predicted token over about the last tenth of the steps so far.

    Polynomial-decay averaging (Shamir and Zhang, 2013), of nats and of tokens, so that each step counts by its
    tokens. The weight of a step grows with the 19th power of its number: the mean is as old, and as
    noisy, as a plain one over the last tenth of the steps. It depends on the steps alone: not on how many are to come,
    which are logged, or where the run was interrupted. `nats` and `tokens` are all of its state.
    """

    nats: float = 0.0
    tokens: float = 0.0

    @property
    def value(self) -> float:
        """NaN before the first step."""
        return self.nats / self.tokens if self.tokens else math.nan

    def add(self, done: int, losses: Iterable[float], tokens: Iterable[float]) -> list[float]:
        """Take in the steps done + 1, done + 2, ...: their losses, and of how many tokens; the value after each.

        A loss that is not finite leaves the value as it is.
        """
        values = []
        for step, (loss, count) in enumerate(zip(losses, tokens, strict=True), start=done + 1):
            nats = loss * count
            if math.isfinite(nats):
                share = 2 * SHARE / (step + 2 * SHARE - 1)
                self.nats += share * (nats - self.nats)
                self.tokens += share * (count - self.tokens)
            values.append(self.value)
        return values


def with_smoothed(rows: Metrics) -> Metrics:
    """Rows of `(step, {name: value})` with the smoothed loss, also those of a run that was logged without it.

    Of such a run only the logged steps are known, and not of how many tokens: each counts as one.
    """
    train = [row for _, row in rows if LOSS in row]
    if any(SMOOTHED in row for row in train):
        return rows
    values = iter(SmoothedLoss().add(0, [row[LOSS] for row in train], [1.0] * len(train)))
    return [(step, {**row, SMOOTHED: next(values)} if LOSS in row else row) for step, row in rows]


def smoothed_points(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The same of `[(step, loss), ...]` alone."""
    values = SmoothedLoss().add(0, [loss for _, loss in points], [1.0] * len(points))
    return [(step, value) for (step, _), value in zip(points, values, strict=True)]
