"""Elementwise optimizers on flattened arrays: the same numbers, in the same places."""

from dataclasses import dataclass

import numpy as np
import pytest

from gptlab.engines.xla import XlaEngine
from gptlab.engines.xla_layout import FlatLayout, SeparateLayout, layout_of
from gptlab.optim.optimizers import SGD, Adam, AdamW
from tests.models import assert_same_run, make_gpt, trained


@dataclass(frozen=True)
class AdamApart(Adam):
    """Says nothing of being elementwise, and so gets every matrix for itself."""


@dataclass(frozen=True)
class AdamWApart(AdamW):
    """The same of AdamW, which asks how many axes an array has."""


@dataclass(frozen=True)
class SGDApart(SGD):
    """The same of SGD."""


def test_flattening_and_unflattening_keeps_names_order_shapes_and_axes():
    arrays = {
        "b": np.arange(6.0).reshape(2, 3),
        "scale": np.arange(3.0),
        "a": np.arange(4.0).reshape(4, 1),
        "other": np.ones(2),
    }
    layout = FlatLayout({name: array.shape for name, array in arrays.items()})
    flat = layout.flatten(arrays)
    assert {group: array.shape for group, array in flat.items()} == {"vectors": (5,), "matrices": (1, 10)}
    split = layout.unflatten(flat)
    assert list(split) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(split[name], array)


def test_only_a_class_that_says_so_itself_gets_flat_arrays():
    arrays = {"w": np.ones((2, 2))}
    assert isinstance(layout_of(Adam(), arrays), FlatLayout)
    assert isinstance(layout_of(AdamApart(), arrays), SeparateLayout), (
        "a subclass may have changed what it does"
    )


def test_what_is_large_stays_apart():
    assert isinstance(layout_of(Adam(), {"w": np.broadcast_to(0.0, (1000, 1000))}), SeparateLayout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("joined", "apart"),
    [
        (Adam(), AdamApart()),
        (AdamW(weightDecay=0.1), AdamWApart(weightDecay=0.1)),
        (SGD(momentum=0.9), SGDApart(momentum=0.9)),
    ],
    ids=["adam", "adamw", "sgd"],
)
def test_an_optimizer_does_the_same_to_flat_arrays(joined, apart):
    gpt = make_gpt(norm=("rmsnorm", {"scale": True}))
    engine = XlaEngine(dtype="float64")
    one, other = (trained(engine, gpt, 10, optimizer=optimizer) for optimizer in (joined, apart))
    assert_same_run(one, other, rtol=1e-12)
    assert {k: list(v) for k, v in one[0].optimizer.items()} == {
        k: list(v) for k, v in other[0].optimizer.items()
    }
