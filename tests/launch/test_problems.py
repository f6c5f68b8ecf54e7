"""Experiments on data with right answers: what they measure, count and take at once."""

import pytest

from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.errors import UserError
from gptlab.launch.experiment import Experiment

SUMS = ["data=modular", "data.p=5"]
DIGITS = ["data=addition", "tokenizer=char", "data.digits=2", "data.numHeldOut=9", "model.blockSize=12"]


def experiment_of(*overrides: str) -> Experiment:
    registry = prepared().registry
    return Experiment.of(typed(Config, plain(compose("train", list(overrides)))), registry)


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (SUMS, ["accuracy"]),
        (DIGITS, ["exactMatch", "accuracy"]),
        ([*DIGITS, "metrics=[]"], []),
        ([*SUMS, "metrics=[bitsPerByte]"], ["bitsPerByte"]),
        ([*DIGITS, "data.countAll=true"], []),
        (["data=questions"], []),
    ],
)
def test_a_task_names_what_is_measured_unless_the_config_does(overrides, names):
    assert [one.name for one in experiment_of(*overrides).metrics] == names


def test_a_full_batch_has_all_that_is_trained_on():
    experiment = experiment_of(*SUMS, "train.batchSize=all", "data.valFraction=0.4")
    assert experiment.batchSize == len(experiment.data.train) == 15
    assert experiment.epochs.chunk(0, 2).tokens.shape[:2] == (2, 15)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            [*DIGITS, "train.batchSize=all"],
            "train.batchSize=all takes all documents: data=addition has no end",
        ),
        ([*SUMS, "train.batchSize=al"], "train.batchSize must be a whole number, or all: got al"),
        ([*SUMS, "train.batchSize=0"], "train.batchSize must be at least 1: got 0"),
        (["data=addition"], "data=addition is written in characters.*Type tokenizer=char"),
        (
            [*DIGITS, "metrics=[{name: accuracy, by: digts}]"],
            "no by of metric accuracy is named 'digts'.*digits",
        ),
        ([*SUMS, "model.blockSize=4"], "has 5, and model.blockSize is 4"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_step(overrides, words):
    with pytest.raises(UserError, match=words):
        experiment = experiment_of(*overrides)
        experiment.training(experiment.state(None), [], smoothed=None)
