"""The example plugin t5bias: the paper's buckets, what is added to the scores, and both engines."""

import math

import numpy as np
import pytest

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Tensor
from gptlab.checks import assert_passes
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.scalar_arithmetic import ScalarArithmetic
from gptlab.engines.xla import XlaEngine
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins
from tests.models import assert_same_run, make_gpt, trained

REGISTRY = load_plugins().registry
T5Bias = REGISTRY.get("position", "t5bias")


@pytest.mark.slow
def test_it_is_registered_by_the_plugin_of_its_name_and_passes_the_checks():
    assert REGISTRY.owner("position", "t5bias") == "t5bias"
    assert_passes("t5bias")


def bucket(distance: int, buckets: int, farthest: int) -> int:
    """As the paper's authors say it, for a model that looks back only."""
    exact = buckets // 2
    if distance < exact:
        return distance
    share = math.log(distance / exact) / math.log(farthest / exact)
    return min(exact + int(share * (buckets - exact) + 1e-9), buckets - 1)


@pytest.mark.parametrize(("buckets", "farthest"), [(8, 64), (32, 128), (3, 9), (2, 5)])
def test_the_buckets_and_what_is_added(buckets, farthest):
    arithmetic = ScalarArithmetic(OpTable())
    table = np.arange(buckets * 2.0).reshape(buckets, 2)
    weights = make_gpt(position=T5Bias(buckets=buckets, farthest=farthest)).position.weights
    assert weights(make_gpt().sizes) == {"relativeBias": (buckets, 2)}

    class Weights:
        relativeBias = Tensor(table, arithmetic)

    scores = Tensor(np.zeros((2, 200, 200)), arithmetic)
    at = np.arange(200)
    found = T5Bias(buckets=buckets, farthest=farthest).bias(scores, at, at, Weights()).data.astype(float)
    for t, s in [(0, 0), (5, 5), (5, 4), (9, 5), (70, 6), (199, 0), (130, 2), (129, 1), (20, 4)]:
        np.testing.assert_array_equal(found[:, t, s], table[bucket(t - s, buckets, farthest)])


@pytest.mark.slow
def test_both_engines_train_its_table_alike():
    gpt = make_gpt(position=T5Bias(buckets=4, farthest=6))
    assert "positionEmbedding" not in gpt.shapes and gpt.shapes["relativeBias"] == (4, 2)
    scalar = trained(ScalarEngine(), gpt, 5)
    assert_same_run(trained(XlaEngine("float64"), gpt, 5), scalar)
    assert np.abs(scalar[0].weights["relativeBias"] - gpt.initial_weights(0)["relativeBias"]).min() > 0


def test_what_cannot_be_bucketed_is_refused():
    with pytest.raises(UserError, match=r"model\.position\.buckets must be at least 2"):
        T5Bias(buckets=1)
    with pytest.raises(UserError, match=r"model\.position\.farthest must be above 8"):
        T5Bias(farthest=8)
