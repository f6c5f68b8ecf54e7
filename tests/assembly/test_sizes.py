"""The named sizes: models that others have published, to the last parameter."""

import math

import pytest

from gptlab.assembly.architecture import Architecture
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed

# With the tokens that each was published with.
PUBLISHED = {
    "baby": (65, 10_745_088),
    "gpt2": (50_257, 124_439_808),
    "gpt2-medium": (50_257, 354_823_168),
    "llama-tiny": (32_000, 15_191_712),
    "smollm-135m": (49_152, 134_515_008),
}


def definition_of(*overrides, vocabSize):
    registry = prepared().registry
    config = typed(Config, plain(compose("train", list(overrides))))
    return Architecture.of(config.model, config.ops, registry).with_vocabulary(vocabSize).definition


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_named_size_has_the_parameters_that_were_published(name):
    vocabSize, count = PUBLISHED[name]
    shapes = definition_of(f"+size={name}", vocabSize=vocabSize).shapes
    assert sum(math.prod(shape) for shape in shapes.values()) == count


def test_a_size_is_where_a_config_begins():
    sizes = definition_of("+size=gpt2", "model.nLayer=2", "model.blockSize=64", vocabSize=100).sizes
    assert (sizes.nLayer, sizes.nEmbd, sizes.blockSize, sizes.bias) == (2, 768, 64, True)


@pytest.mark.slow
def test_an_experiment_says_more_than_the_size():
    """In whichever order they are typed."""
    for words in (["+size=llama-tiny", "+experiment=tiny"], ["+experiment=tiny", "+size=llama-tiny"]):
        config = typed(Config, plain(compose("train", words)))
        assert config.model.mlp.name == "swiglu" and config.train.batchSize == 16
