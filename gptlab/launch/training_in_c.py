"""What a run trained with, for a C program that does the same."""

from __future__ import annotations

import numpy as np

from gptlab.config.typed import Config, typed
from gptlab.engines.engine import evaluation_weights, trained
from gptlab.errors import UserError
from gptlab.exchange.c_program import MOST, Steps
from gptlab.launch.experiment import Experiment
from gptlab.model.trains_others import TrainsOthers
from gptlab.plugins.registry import Registry
from gptlab.runs.saved_run import SavedRun


def steps_of(saved: SavedRun, registry: Registry) -> Steps:
    """The run from its start: its weights before step 1, and the documents and learning rates of all of its steps.

    Raises UserError for weights without a run, for a run whose weights to train are not those to sample from, and for
    more steps than a file of C holds.
    """
    if saved.config is None:
        raise UserError(
            f"training=true needs a run, whose config says how it is trained: {saved.name} has none. Leave it out."
        )
    experiment = Experiment.of(typed(Config, saved.config), registry)
    definition, optimizer, count = experiment.definition, experiment.optimizer, experiment.plan.numSteps
    weights = experiment.weights()
    state = optimizer.init(trained(weights, experiment.frozen))
    others = evaluation_weights(optimizer, np, weights, state, experiment.frozen)
    if isinstance(definition, TrainsOthers) or others is not None:
        by = (
            definition.part
            if isinstance(definition, TrainsOthers)
            else f"optimizer={experiment.config.optimizer.name}"
        )
        raise UserError(
            f"training=true needs a run that samples from the weights it trains: with {by} they differ. Leave "
            "training=true out: the file then samples from the run's final weights."
        )
    width = experiment.data.train.width * experiment.batchSize
    if width * count > MOST:
        raise UserError(
            f"a C program that trains holds the documents of its steps: {width * count:,} tokens are more than "
            f"{MOST:,}. Export a run with fewer steps, e.g. train.numSteps={max(1, MOST // width)}"
        )
    batches = experiment.epochs.chunk(0, count)
    return Steps(
        definition,
        optimizer,
        weights,
        batches.tokens,
        batches.lengths,
        experiment.plan.rates(0, count),
        batches.seed,
        experiment.frozen,
    )
