import math

import numpy as np
import pytest

from gptlab.ablation.question import settings_in
from gptlab.ablation.tuning import tuning_of

RATES = ["0.001", "0.002", "0.004", "0.008"]


def rates(*losses: float | None, values: list[str] = RATES, key: str = "train.learningRate") -> object:
    return [({key: value}, loss) for value, loss in zip(values, losses, strict=True)]


def edge(losses: list[float | None], values: list[str], key: str = "key") -> str:
    return tuning_of(rates(*losses, values=values, key=key)).edge


def test_the_lowest_loss_is_the_best_and_none_is_no_loss() -> None:
    found = tuning_of(rates(3.0, None, 1.0, 2.0))
    assert found.best == {"train.learningRate": "0.004"}
    assert found.edge == ""


def test_where_all_broke_down_there_is_no_best() -> None:
    found = tuning_of(rates(None, None, None, None))
    assert (found.best, found.edge, found.sensitivity) == ({}, "", None)


def test_the_sensitivity_is_the_rise_a_factor_of_two_away() -> None:
    assert tuning_of(rates(5.0, 1.0, 2.0, 9.0)).sensitivity == pytest.approx((4.0 + 1.0) / 2)
    assert tuning_of(rates(1.0, 2.0, 3.0, 4.0)).sensitivity == pytest.approx(1.0), "of the one side there is"


def test_between_two_values_it_is_read_on_a_line_in_the_logarithm() -> None:
    found = tuning_of(rates(2.0, 1.0, 2.0, values=["0.001", "0.004", "0.016"]))
    assert found.sensitivity == pytest.approx(0.5)


def test_a_value_that_broke_down_counts_as_the_worst_loss() -> None:
    assert tuning_of(rates(5.0, 2.0, 1.0, None)).sensitivity == pytest.approx((1.0 + 4.0) / 2)
    assert tuning_of(rates(None, 1.0, None, None)).sensitivity is None


def test_of_two_keys_each_is_judged_with_the_other_at_its_best() -> None:
    points = [
        ({"a": a, "b": b}, math.log2(float(a)) ** 2 + 3 * abs(math.log2(float(b))))
        for a in ("0.5", "1", "2")
        for b in ("0.5", "1", "2")
    ]
    found = tuning_of(points)
    assert found.best == {"a": "1", "b": "1"}
    assert found.sensitivity == pytest.approx((1 + 1 + 3 + 3) / 4)


@pytest.mark.parametrize(
    "values", [["relu", "gelu"], ["0.9", "0.99"]], ids=["names", "within a factor of two"]
)
def test_it_cannot_always_be_told(values: list[str]) -> None:
    assert tuning_of(rates(1.0, 2.0, values=values)).sensitivity is None


def test_an_edge_has_the_wider_grid_to_type() -> None:
    values = [f"{value:.4g}" for value in np.geomspace(0.001, 0.03, 5)]
    falling = tuning_of(rates(5.0, 4.0, 3.0, 2.0, 1.0, values=values))
    assert falling.edge == "tune='train.learningRate=log(0.001,0.164,7)'"
    assert np.geomspace(0.001, 0.164, 7)[:5] == pytest.approx(np.geomspace(0.001, 0.03, 5), rel=0.01)
    rising = tuning_of(rates(1.0, 2.0, 3.0, 4.0, None, values=values))
    assert rising.edge == "tune='train.learningRate=log(0.000183,0.03,7)'"


def test_a_best_value_before_one_that_broke_down_is_at_no_edge() -> None:
    assert tuning_of(rates(3.0, 2.0, 1.0, None)).edge == ""


@pytest.mark.parametrize(
    ("losses", "values", "expected"),
    [
        ([3.0, 2.0, 1.0], ["16", "32", "64"], "16,32,64,128,256"),
        ([1.0, 2.0], ["1", "2"], ""),
        ([3.0, 2.0, 1.0], ["0.9", "0.99", "0.999"], "0.9,0.99,0.999,0.9999,0.99999"),
        ([3.0, 2.0, 1.0], ["0", "0.1", "0.2"], "linear(0,0.4,5)"),
        ([1.0, 2.0, 3.0], ["0", "0.1", "0.2"], ""),
        ([2.0, 3.0, 1.0], ["0.01", "0.03", "0.04"], "0.01,0.03,0.04,0.0533,0.0711"),
        ([2.0, 1.0], ["relu", "gelu"], ""),
    ],
)
def test_the_wider_grid_is_spaced_as_the_values_are(
    losses: list[float | None], values: list[str], expected: str
) -> None:
    assert edge(losses, values) == (f"tune='key={expected}'" if expected else "")


def test_with_two_keys_both_are_typed() -> None:
    points = [
        ({"a": a, "b": b}, float(a) + abs(math.log2(float(b))))
        for a in ("1.5", "3", "6")
        for b in ("0.5", "1", "2")
    ]
    assert tuning_of(points).edge == "tune='[a=log(0.375,6,5), b=log(0.5,2,3)]'"


def test_what_is_to_be_typed_can_be_read() -> None:
    points = [({"a": a, "b": b}, float(a) * float(b)) for a in ("16", "32", "64") for b in ("0.9", "0.99")]
    typed = tuning_of(points).edge
    assert typed.startswith("tune='[a=4,8,16,32,64, b=")
    settings = settings_in(typed.removeprefix("tune='").removesuffix("'"))
    assert settings[0][0] == "a=4" and len(settings) == 5 * len({b for _, b in settings})
    assert ("a=64", "b=0.99") in settings
