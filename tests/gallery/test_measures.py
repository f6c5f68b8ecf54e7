"""What is read of a run's rows."""

import math
from typing import Any

import pytest

from gptlab.gallery.measures import PARAMETERS, measure_of, measured, quotient

ROWS = [
    (100, {"train/loss": 4.0}),
    (200, {"val/loss": 3.0, "val/accuracy": 0.1}),
    (400, {"val/loss": 2.9, "val/accuracy": 0.2}),
    (600, {"val/loss": 1.5, "val/accuracy": 0.9}),
    (800, {"val/loss": 1.6, "val/accuracy": 0.995}),
]


def read(spec: dict[str, Any], rows: Any = ROWS, whole: bool = True) -> float:
    return measured({"x": measure_of("x", spec, {})}, rows, whole, parameters=7)["x"]


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"last": "val/loss"}, 1.6),
        ({"lowest": "val/loss"}, 1.5),
        ({"highest": "val/accuracy"}, 0.995),
        ({"at": 400, "of": "val/loss"}, 2.9),
        ({"first": "val/accuracy", "above": 0.99}, 800),
        ({"first": "val/loss", "below": 2.95}, 400),
        ({"first": "val/loss", "below": 1}, math.inf),
        ({"fall": "val/loss", "within": 200}, 1.4),
        ({"fall": "val/loss", "within": 400}, 1.5),
        ({"fact": "parameters"}, 7),
    ],
)
def test_a_measure_is_read_of_the_rows(spec: dict[str, Any], value: float) -> None:
    assert read(spec) == pytest.approx(value)


def test_there_is_none_where_there_is_nothing_to_read() -> None:
    assert math.isnan(read({"at": 300, "of": "val/loss"}))
    assert math.isnan(read({"last": "longer/accuracy"}))
    assert math.isnan(read({"last": "val/loss"}, rows=[]))


def test_a_run_that_broke_down_has_no_number_and_reached_nothing() -> None:
    assert math.isnan(read({"last": "val/loss"}, whole=False))
    assert math.isnan(read({"first": "val/loss", "below": 2.95}, whole=False))
    assert read({"fact": "parameters"}, whole=False) == 7


def test_measures_are_made_of_those_above() -> None:
    measures: dict[str, Any] = {}
    for name, spec in {
        "one": {"last": "val/loss"},
        "two": {"last": "val/accuracy"},
        "apart": {"difference": ["one", "two"]},
        "over": {"ratio": ["one", "two"]},
    }.items():
        measures[name] = measure_of(name, spec, measures)
    found = measured(measures, ROWS, True, 7)
    assert found["apart"] == pytest.approx(0.605)
    assert found["over"] == pytest.approx(1.6 / 0.995)
    assert found[PARAMETERS] == 7


def test_the_highest_is_best_where_the_highest_is_read() -> None:
    assert measure_of("x", {"highest": "val/accuracy"}, {}).better == "higher"
    assert measure_of("x", {"last": "val/accuracy", "better": "higher"}, {}).better == "higher"
    assert measure_of("x", {"last": "val/loss"}, {}).better == "lower"


def test_a_quotient_knows_never() -> None:
    assert quotient(math.inf, 400) == math.inf and quotient(400, math.inf) == 0
    assert math.isnan(quotient(math.inf, math.inf)) and math.isnan(quotient(0, 0))
    assert quotient(3, 0) == math.inf
