"""What is made of measures, seed by seed, and when a claim holds."""

import math
from typing import Any

import numpy as np
import pytest

from gptlab.gallery.claims import claim_of
from gptlab.gallery.measures import PARAMETERS, measure_of
from gptlab.gallery.quantities import FAILS, HOLDS, MISSING, OPEN, Found, Measured, found_of

LOSS = measure_of("loss", {"last": "val/loss"}, {})
GAP = measure_of("gap", {"last": "val/gap"}, {})
RATES = (0.001, 0.01, 0.1)


def found(spec: dict[str, Any], grid: Any = None, by: Any = None, **arms: Any) -> Found:
    """Of losses by arm: a list over seeds, or with a grid a list over its values of such lists."""
    names = {name.replace("_", " "): name for name in arms}
    claim = claim_of({"says": "x", **spec}, names, {"loss": LOSS, "gap": GAP}, grid)

    def row(loss: Any) -> dict[str, float]:
        return {**loss, PARAMETERS: 1.0} if isinstance(loss, dict) else {"loss": loss, PARAMETERS: 1.0}

    numbers = {
        name: [[row(loss) for loss in seeds] for seeds in (arms[key] if grid else [arms[key]])]
        for name, key in names.items()
    }
    return found_of(claim, Measured(numbers, grid, by))


DIFFERENCE = {"difference": ["loss of a", "loss of b"]}


def test_a_difference_is_taken_seed_by_seed() -> None:
    one = found({**DIFFERENCE, "atMost": 0}, a=[1.0, 2.0, 3.0], b=[1.1, 2.2, 3.3])
    assert one.values == pytest.approx((-0.1, -0.2, -0.3))
    # Student's t with two degrees of freedom: 4.303 standard errors of 0.1 / √3.
    assert (one.value, one.low, one.high) == pytest.approx((-0.2, -0.4484, 0.0484), abs=1e-4)


@pytest.mark.parametrize(
    ("expected", "state"),
    [
        ({"atMost": 0.1}, HOLDS),
        ({"atMost": 0}, OPEN),  # the mean is below, its interval is not
        ({"atMost": -0.3}, FAILS),
        ({"atLeast": -0.5, "atMost": 0.5}, HOLDS),
        ({"atLeast": -0.3, "atMost": 0.5}, OPEN),
        ({"atLeast": 0}, FAILS),
    ],
)
def test_a_claim_holds_if_all_of_its_interval_is_where_it_is_expected(expected: Any, state: str) -> None:
    one = found({**DIFFERENCE, **expected}, a=[1.0, 2.0, 3.0], b=[1.1, 2.2, 3.3])
    assert one.state == state


def test_one_seed_has_no_interval() -> None:
    one = found({**DIFFERENCE, "atMost": 0}, a=[1.0], b=[1.1])
    assert (one.low, one.high, one.state) == (None, None, HOLDS)


def test_a_run_that_broke_down_leaves_a_claim_without_a_number() -> None:
    one = found({**DIFFERENCE, "atMost": 0}, a=[1.0, math.nan], b=[1.1, 1.2])
    assert math.isnan(one.value) and one.state == MISSING


def test_never_is_later_than_any_step() -> None:
    spec = {"ratio": ["loss of a", "loss of b"], "atLeast": 2}
    assert found(spec, a=[math.inf, math.inf], b=[100.0, 200.0]).state == HOLDS
    assert found(spec, a=[math.inf, 1000.0], b=[100.0, 200.0]).state == HOLDS
    assert (
        found(spec, a=[math.inf, 100.0], b=[100.0, 200.0]).state == FAILS
    )  # the lower of two is their median
    assert found(spec, a=[math.inf, math.inf], b=[100.0, math.inf]).state == MISSING


def test_the_mean_of_ratios_is_that_of_their_logarithms() -> None:
    one = found({"ratio": ["loss of a", "loss of b"], "atLeast": 0}, a=[1.0, 4.0], b=[2.0, 2.0])
    assert one.value == pytest.approx(1.0)


def test_an_arm_of_a_grid_stands_at_its_best_by_the_mean_over_seeds() -> None:
    a = [[3.0, 3.0], [2.0, 2.2], [1.0, math.nan]]  # the last one broke down
    one = found({"value": "loss of a", "atMost": 3}, grid=RATES, a=a)
    assert one.values == pytest.approx((2.0, 2.2))
    at = found({"value": "loss of a at 0.001", "atMost": 3}, grid=RATES, a=a)
    assert at.values == pytest.approx((3.0, 3.0))


def test_the_best_may_be_chosen_by_another_measure() -> None:
    a = [[{"loss": 3.0, "gap": 0.1}], [{"loss": 2.0, "gap": 0.5}], [{"loss": 4.0, "gap": 0.2}]]
    spec = {"value": "gap of a", "atMost": 3}
    assert found(spec, grid=RATES, a=a).values == (0.1,)
    assert found(spec, grid=RATES, by=LOSS, a=a).values == (0.5,)


def best_value(*losses: float) -> float:
    spec = {"value": "loss of a", "across": "bestValue", "atMost": 3}
    return found(spec, grid=RATES, a=[[loss] for loss in losses]).value


def test_the_best_value_is_the_lowest_point_of_a_parabola() -> None:
    assert best_value(2.0, 1.0, 2.0) == pytest.approx(0.01)
    lowest = -1.7  # log10, of 3 + (x - lowest)², of which there are three points
    assert best_value(*(3 + (x - lowest) ** 2 for x in (-3, -2, -1))) == pytest.approx(10**lowest)
    assert best_value(1.0, 2.0, 3.0) == pytest.approx(0.001)  # at the edge it is the edge
    assert best_value(1.5, 1.0, math.nan) == pytest.approx(0.01)


def test_sensitivity_counts_what_is_lost_up_to_the_ceiling() -> None:
    spec = {"value": "loss of a", "across": "sensitivity", "ceiling": 5, "atMost": 3}
    assert found(spec, grid=RATES, a=[[1.0], [2.0], [9.0]]).value == pytest.approx((0 + 1 + 4) / 3)
    assert found(spec, grid=RATES, a=[[1.0], [2.0], [math.nan]]).value == pytest.approx((0 + 1 + 4) / 3)


def test_a_span_is_so_many_decades_wide() -> None:
    spec = {"value": "loss of a", "across": "span", "within": 1, "atMost": 3}
    assert found(spec, grid=RATES, a=[[2.0], [1.0], [5.0]]).value == pytest.approx(1 + 0.25)
    assert found(spec, grid=RATES, a=[[math.nan], [1.0], [1.5]]).value == pytest.approx(1)


def test_an_exponent_is_that_of_the_law() -> None:
    sizes = (100.0, 1000.0, 10_000.0)
    claim = claim_of(
        {"says": "x", "exponent": [f"loss of {n}" for n in "abc"], "floor": 1, "atLeast": 0},
        dict.fromkeys("abc"),
        {"loss": LOSS},
        None,
    )

    def measured(losses: Any) -> Measured:
        rows = zip("abc", sizes, losses, strict=True)
        return Measured({n: [[{"loss": loss, PARAMETERS: size}]] for n, size, loss in rows}, None)

    law = 1 + 5 * np.array(sizes) ** -0.3
    assert found_of(claim, measured(law)).value == pytest.approx(0.3)
    assert found_of(claim, measured(law[::-1])).state == MISSING  # it rises
    assert found_of(claim, measured([3.0, 2.0, 0.9])).state == MISSING  # below its floor
