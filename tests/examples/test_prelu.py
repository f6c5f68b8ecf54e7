"""The example plugin prelu: relu at first, a slope for each layer that learns, and both engines."""

import pytest

from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
PRelu = REGISTRY.get("activation", "prelu")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("activation", "prelu") == "prelu"
    assert_passes("prelu")


def test_each_layer_has_a_slope_that_counts_towards_its_mlp():
    gpt = make_gpt(activation=PRelu(start=0.25))
    slopes = [f"layers.{i}.activation.slope" for i in range(2)]
    names = list(gpt.declared_weights())
    assert [n for n in names if "activation" in n] == slopes
    assert names.index(slopes[0]) == names.index("layers.0.mlp.output") + 1
    assert {m.part for m in gpt.matrices() if m.name in slopes} == {"mlp"}
    start = gpt.initial_weights(0)
    assert [start[name].tolist() for name in slopes] == [[0.25], [0.25]]
    without = make_gpt().initial_weights(0)
    assert all((start[name] == array).all() for name, array in without.items())


@pytest.mark.slow
def test_it_begins_as_relu_and_learns_otherwise_on_both_engines():
    gpt = make_gpt(activation=PRelu())
    scalar = trained(ScalarEngine(), gpt, 5)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), scalar)
    relu = trained(ScalarEngine(), make_gpt(), 5)
    assert scalar[1].loss[0] == relu[1].loss[0] and scalar[1].loss[-1] != relu[1].loss[-1]
    slopes = [scalar[0].weights[f"layers.{i}.activation.slope"][0] for i in range(2)]
    assert 0 not in slopes and slopes[0] != slopes[1]


def test_one_layer_may_have_it():
    gpt = make_gpt(layers=((("activation", PRelu()),), ()))
    assert [n for n in gpt.shapes if "activation" in n] == ["layers.0.activation.slope"]
    trained(ScalarEngine(), gpt, 1)
