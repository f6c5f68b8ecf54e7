"""Whether a training fits into memory, told before it begins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gptlab.engines.engine import trained
from gptlab.engines.foreseen import Foresees
from gptlab.engines.process_memory import available, give_back, resident
from gptlab.errors import UserError

if TYPE_CHECKING:
    from gptlab.launch.experiment import Experiment

DRAWN = 8  # bytes of a weight as it is drawn
LARGE = 1 << 30  # bytes by rough reckoning from which on a training is looked at before it begins
# What three measured runs (of 314 MiB, 1.2 and 6.3 GiB) took besides: once they had begun, more than before; and while
# they saved, this share of the state, which the allocator had not given back yet.
BEGUN, KEPT = 40 << 20, 2
ROUGHLY = 24  # bytes of a parameter: with its gradient and moments, and as it is saved
ACTIVATIONS = 40  # numbers of a position in a layer, about, in units of nEmbd


@dataclass(frozen=True)
class Peak:
    """Bytes: the most that a training will hold at once, what there is for it, what its state takes, and a step
    besides. device: whether they are those of an accelerator."""

    bytes: int
    there: int | None
    state: int
    step: int
    device: bool = False

    @property
    def fits(self) -> bool:
        return self.there is None or self.bytes <= self.there


def is_large(experiment: Experiment) -> bool:
    """Whether it may take a GiB or more beside what Python and jax take, reckoned from its sizes alone."""
    sizes, width = experiment.definition.sizes, experiment.data.train.width - 1
    shapes = experiment.definition.shapes.values()
    positions = min(width, sizes.blockSize) * max(
        1, experiment.batchSize // experiment.config.train.accumulate
    )
    attention = sizes.nHead * min(width, sizes.blockSize)
    layer = ACTIVATIONS * sizes.nEmbd + 3 * attention
    numbers = positions * (3 * sizes.vocabSize + sizes.nLayer * layer)
    return ROUGHLY * sum(math.prod(shape) for shape in shapes) + 4 * numbers > LARGE


def peak_of(experiment: Experiment) -> Peak | None:
    """What the compiled program says; None of an engine that cannot tell.

    Beside a step it is the beginning that counts, where weights are drawn as float64, and a checkpoint, for which the
    state is copied and made into files: of weights one, then of moments the bytes of each and of all.
    """
    session = experiment.session
    if not isinstance(session, Foresees):
        return None
    # Of zeros, which take no memory until somebody writes to them. An optimizer may do: its are gone again before it is
    # looked how much the process has.
    weights = {name: np.zeros(shape, np.float32) for name, shape in experiment.definition.shapes.items()}
    drawn = DRAWN * sum(array.size for array in weights.values())
    optimizer = experiment.optimizer.init(trained(weights, experiment.frozen))
    needed = session.needed(weights, optimizer, experiment.epochs.chunk(0, 1))
    del weights, optimizer
    give_back()
    if needed is None:
        return None
    state, step = needed.state, needed.step
    if needed.free is not None:
        return Peak(state + step, needed.free, state, step, device=True)
    base, free = resident(), available()
    there = None if free is None else base + free
    saving = 2 * state + needed.weights + 2 * (state - needed.weights) + state // KEPT
    return Peak(base + BEGUN + max(drawn + state, state + step, saving), there, state, step)


def check_fits(experiment: Experiment) -> None:
    """Raises UserError for a training that takes more memory than there is, unless the config says `anyway`."""
    if experiment.config.anyway or not is_large(experiment):
        return
    peak = peak_of(experiment)
    if peak is None or peak.fits:
        return
    assert peak.there is not None
    whose = "the device has" if peak.device else "there are"
    raise UserError(
        f"a run must fit into memory: this one takes {gib(peak.bytes)}, {gib(peak.step)} of it for a step, and "
        f"{whose} {gib(peak.there)}. {advice(experiment, peak)} anyway=true starts it all the same."
    )


def advice(experiment: Experiment, peak: Peak) -> str:
    """What to type so that it takes less."""
    train = experiment.config.train
    ways = []
    if peak.step > peak.state:
        if train.accumulate < experiment.batchSize:
            ways.append(f"train.accumulate={min(experiment.batchSize, 4 * train.accumulate)}")
        if experiment.config.engine.get("remat") is False:
            ways.append("engine.remat=true")
        if experiment.batchSize > 1:
            ways.append(f"train.batchSize={experiment.batchSize // 2}")
    if not ways:
        ways.append("a smaller model.nLayer, model.nEmbd or model.blockSize")
    return f"Try {', or '.join(ways)}."


def gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"


def told(peak: Peak) -> str:
    """A line for `summary`."""
    there = "" if peak.there is None else f", of {gib(peak.there)} available"
    parts = f"weights and optimizer {gib(peak.state)}, a step {gib(peak.step)} besides"
    return f"peak of a training: {gib(peak.bytes)} ({parts}){there}"
