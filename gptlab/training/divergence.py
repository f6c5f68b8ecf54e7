"""What tells that a run has diverged, and what to try then."""

from __future__ import annotations

import math
from collections.abc import Mapping

from gptlab.training.metric_rows import Metrics, loss_text
from gptlab.training.smoothing import LOSS, SMOOTHED

# How far above a uniform guess, and above the loss at its start, a loss must be. The losses of a few documents lie
# within less of that, and so does a model that has learned nothing yet.
FACTOR = 1.1
BROKEN = 10  # times that: no model is so sure of what is wrong that it learned by heart
HUGE = 100.0  # nats: a uniform guess over all words that there are has 20
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
        f"{loss_text(guess)}. {advice(dict(rows).get(1, {}), learningRate)}"
    )


def advice(first: Mapping[str, float], learningRate: float) -> str:
    """What to try where a loss has become too large. first: the metrics of step 1, none if they are not known."""
    loss, norm = first.get(LOSS, 0.0), first.get("train/gradNorm", 0.0)
    if loss < HUGE and math.isfinite(norm):
        return f"Try a lower learning rate: train.learningRate={learningRate / 10:g}."
    broken = f"loss was {loss_text(loss)}" if not loss < HUGE else f"gradient was {norm}"
    return (
        f"The {broken} before the first update: the cause is not the rate but the initial weights (model.initStd, "
        "initFrom) or a swapped op."
    )
