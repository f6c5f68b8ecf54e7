"""How much of a run's validation loss is the choice of what was held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gptlab.engines.engine import Session, State
from gptlab.launch.experiment import Experiment
from gptlab.plugins.registry import build
from gptlab.statistics.sampling import Sampled, adjusted, sampled
from gptlab.training.held_out import document_nats, measured


@dataclass(frozen=True)
class SamplingNoise:
    """plain: the validation loss with its standard error over the choice of documents. adjusted: the same with the
    data's own probabilities as a control variate; None for data that does not know them."""

    plain: Sampled
    adjusted: Sampled | None


def sampling_noise(experiment: Experiment, session: Session, state: State) -> SamplingNoise | None:
    """Of a trained model on what is held out in its experiment: that of `gptlab.load(RUN).model`, or a training's.

    state: to be evaluated as it is. None for fewer than three different documents.
    """
    data = experiment.data
    some, keys = data.held_out, data.keys
    if len(np.unique(keys)) < 3:
        return None
    if not experiment.definition.plain:
        found = measured(session, state, some)
        return SamplingNoise(sampled(found.nats, found.counted, keys), None)
    nats = document_nats(session, state, some)
    plain = sampled(nats, some.lengths, keys)
    rate = data.facts.facts.get("entropyPerWord")
    dataset = build(experiment.registry, "dataset", experiment.config.data)
    rows = zip(some.tokens.tolist(), some.lengths.tolist(), strict=True)
    source = [dataset.nats(data.tokenizer.decode(row[1 : length + 1])) for row, length in rows]
    if rate is None or None in source:
        return SamplingNoise(plain, None)
    return SamplingNoise(plain, adjusted(nats, some.lengths, keys, np.array(source), rate))
