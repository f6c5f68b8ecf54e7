"""Metrics as a config asks for them."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from gptlab.assembly.metrics import Asked, measures, metrics_of
from gptlab.engines.measured import Sliced
from gptlab.errors import UserError
from gptlab.model.metric import Accuracy, LossByFrequency
from gptlab.plugins.loading import load_plugins


def registry_with(name, metric):
    registry = load_plugins(discover=False).registry
    registry.register("metric", name, metric, "test")
    return registry


def never():
    raise AssertionError("frequencies are counted where they are asked for alone")


def test_slices_are_made_of_what_they_need():
    asked = metrics_of(
        ["accuracy", {"name": "exactMatch", "by": "length"}], load_plugins(discover=False).registry
    )
    assert [one.name for one in asked] == ["accuracy", "exactMatch"]
    (_, plain), (_, sliced) = measures(asked, None, never)
    assert plain == Accuracy() and [begin for begin, _ in sliced.by] == ["exactMatch/length"] and sliced.whole
    counts = np.array([1, 2, 3])
    ((_, loss),) = measures([Asked("l", LossByFrequency(), ("length",))], None, lambda: counts)
    assert (
        isinstance(loss, Sliced) and [begin for begin, _ in loss.by] == ["l", "l/length"] and not loss.whole
    )


def test_a_field_of_its_own_stays_the_metrics():
    @dataclass(frozen=True)
    class Own(Accuracy):
        by: int = field(default=1)

    (one,) = metrics_of([{"name": "own", "by": 2}], registry_with("own", Own))
    assert one.metric.by == 2 and one.by == ()


def test_a_name_that_a_row_has_already_is_refused():
    with pytest.raises(UserError, match="must not be called loss: val/loss is logged already"):
        metrics_of(["loss"], registry_with("loss", Accuracy))
    with pytest.raises(UserError, match="must not be called tokens: train/tokens is logged already"):
        metrics_of([{"name": "tokens", "train": True}], registry_with("tokens", Accuracy))
    assert metrics_of(["tokens"], registry_with("tokens", Accuracy))[0].name == "tokens"
