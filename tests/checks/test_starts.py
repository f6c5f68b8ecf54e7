"""`check` of inits and samplers: what is wrong is found and named."""

from dataclasses import dataclass

import numpy as np

from gptlab.checks import check_names
from gptlab.model.init import Init
from gptlab.plugins.loading import load_plugins


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
