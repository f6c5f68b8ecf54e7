"""The smoothed training loss: one average, which every place that shows one shows; and what tells of divergence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gptlab.training.metric_rows import Metrics, loss_text

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


# How far above a uniform guess, and above the loss at its start, a loss must be. The losses of a few documents lie
# within less of that, and so does a model that has learned nothing yet.
FACTOR = 1.1
BROKEN = 10  # times that: no model is so sure of what is wrong that it learned by heart
NAMES = {"val/loss": "validation loss", SMOOTHED: "smoothed training loss"}


def divergence(rows: Metrics, vocabSize: int, learningRate: float) -> str:
    """What says that the run of these rows has diverged, and what to try; empty if it has not.

    Its training loss at the end, smoothed, or its last validation loss, lies above both that of a uniform guess (the
    logarithm of vocabSize) and the loss that it began with. A validation loss does so without
    the training loss where a model knows its few documents by heart; that is no divergence, unless no number of
    documents would explain it.
    """
    began = next((row.get(LOSS, row.get("val/loss")) for _, row in rows), None)
    last = {name: row[name] for _, row in rows for name in NAMES if name in row}
    if began is None or not last:
        return ""
    guess = math.log(vocabSize)
    # Weights that were broken before (initFrom) begin far above any guess, and are no measure.
    limit = FACTOR * max(guess, min(began, BROKEN * guess) if math.isfinite(began) else guess)
    train, validation = last.get(SMOOTHED, -math.inf), last.get("val/loss", -math.inf)
    name = "val/loss" if "val/loss" in last else SMOOTHED
    broken = train > limit or validation > BROKEN * limit
    if not broken or last[name] <= limit:  # or it has come back
        return ""
    return (
        f"diverged: the {NAMES[name]} at its end, {loss_text(last[name])}, is above that of a uniform guess, "
        f"{loss_text(guess)}. Try a lower learning rate: train.learningRate={learningRate / 10:g}."
    )
