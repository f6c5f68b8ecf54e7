"""The noise of what was held out, told of a run's own model and data."""

import pytest

from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.launch.experiment import Experiment
from gptlab.launch.sampling_noise import SamplingNoise, sampling_noise
from gptlab.training.smoothing import SmoothedLoss

FEW = ["train.numSteps=300", "train.batchSize=4", "tracking=none", "progress=none", "samples.n=0"]


def noise_of(*overrides: str) -> tuple[float, SamplingNoise | None]:
    """The validation loss of a short run, and its noise."""
    registry = prepared().registry
    made = Experiment.of(typed(Config, plain(compose("train", [*FEW, *overrides]))), registry)
    training = made.training(made.state(None), [], SmoothedLoss())
    state = training.session.for_evaluation(training.run())
    return training.evaluate().get("val/loss", 0.0), sampling_noise(made, training.session, state)


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_the_grammar_s_own_probabilities_lower_the_noise_of_a_loss() -> None:
    loss, noise = noise_of("train.batchSize=16")
    assert noise is not None and noise.adjusted is not None
    assert noise.plain.mean == pytest.approx(loss, abs=1e-4)
    assert noise.adjusted.error < 0.9 * noise.plain.error


@pytest.mark.slow
def test_data_that_does_not_know_them_has_a_plain_error_only() -> None:
    loss, noise = noise_of("+experiment=names")
    assert noise is not None and noise.adjusted is None
    assert noise.plain.mean == pytest.approx(loss, abs=1e-4) and 0.005 < noise.plain.error < 0.05


def test_of_nothing_there_is_no_noise() -> None:
    assert noise_of("+experiment=names", "data.valFraction=0", "train.numSteps=1") == (0.0, None)
