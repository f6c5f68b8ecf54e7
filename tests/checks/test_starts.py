"""`check` of inits and samplers: what is wrong is found and named."""

from dataclasses import dataclass

import numpy as np

from gptlab.checks import check_names
from gptlab.model.init import Init
from gptlab.plugins.loading import load_plugins
from gptlab.training.samplers import Sampler


def problems(kind, value):
    plugins = load_plugins(discover=False)
    plugins.registry.register(kind, "mine", value, "me")
    return {check.what: check.problem for check in check_names(plugins, ["mine"]) if not check.passed}


@dataclass(frozen=True)
class Careless(Init):
    """Draws from a generator of its own."""

    def start(self, name, weight, generator):
        return np.random.default_rng().standard_normal(weight.shape)


def test_an_init_that_draws_elsewhere_is_found():
    assert "draw from the generator that is given" in problems("init", Careless)["the seed's alone"]


@dataclass(frozen=True)
class Counting(Init):
    """Each weight starts by how many came before."""

    def start(self, name, weight, generator):
        counts[0] = 1 if name == "tokenEmbedding" else counts[0] + 1
        return generator.standard_normal(weight.shape) * counts[0]


counts = [0]


def test_an_init_that_depends_on_other_weights_is_found():
    assert "other weights beside it" in problems("init", Counting)["each weight by itself"]


@dataclass(frozen=True)
class Constant(Init):
    """All the same, and a rate for what there is not."""

    def start(self, name, weight, generator):
        return np.full(weight.shape, 0.1)

    def rates(self, shapes):
        return {"head": 0.5, "output": 0.0}


def test_an_init_without_chance_and_with_wrong_rates_is_found():
    found = problems("init", Constant)
    assert found["the seed's alone"] == "another seed gives the same weights"
    assert "rates() names head" in found["rates of weights that there are"]
    assert "got 0.0 for output" in found["rates of weights that there are"]


@dataclass(frozen=True)
class Bare:
    """No Init."""

    def start(self, name, weight, generator):
        return np.zeros(weight.shape)


def test_what_is_no_init_is_found():
    assert problems("init", Bare) == {"is an Init": "it must be a gptlab.Init: class NAME(gptlab.Init)"}


@dataclass(frozen=True)
class Branching(Sampler):
    """Asks a field as if it were a number.

    share: of what.
    """

    share: float = 0.1

    def choose(self, xp, logits, uniform):
        return self.draw(xp, logits if self.share > 0 else -logits, uniform)


def test_a_sampler_that_branches_on_a_field_is_found():
    assert "Tracer" in problems("sampler", Branching)["engines agree"]


@dataclass(frozen=True)
class Beyond(Sampler):
    """The token after the likeliest."""

    def choose(self, xp, logits, uniform, seen):
        return xp.argmax(logits) + 1


def test_a_sampler_that_leaves_the_vocabulary_is_found():
    assert "of 11 tokens it drew 11" in problems("sampler", Beyond)["draws a token of the vocabulary"]


@dataclass(frozen=True)
class Whimsical(Sampler):
    """Draws by numpy's own numbers."""

    def choose(self, xp, logits, uniform):
        return self.draw(xp, logits, np.random.default_rng().random())


def test_a_sampler_that_draws_elsewhere_is_found():
    assert "draw by `uniform` alone" in problems("sampler", Whimsical)["the same twice"]
