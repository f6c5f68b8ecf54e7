"""What a number must be: said with its bounds, what came, and what to type."""

import math

import numpy as np
import pytest

import gptlab

BETA = {"at_least": 0, "below": 1, "example": 0.9}


@pytest.mark.parametrize(
    ("bounds", "fits", "not_so", "words"),
    [
        (BETA, [0, 0.5, np.float32(0.9)], [-0.1, 1, 1.5], "at least 0 and below 1"),
        ({"above": 0, "at_most": 1, "example": 1}, [1e-9, 1], [0, 1.01], "above 0 and at most 1"),
        ({"at_least": 1, "at_most": 65535, "example": 1}, [1, 65535], [0, 65536], "from 1 to 65535"),
        ({"above": 0, "below": 1, "example": 0.5}, [0.5], [0, 1], "above 0 and below 1"),
        ({"at_least": 1, "unit": "steps", "example": 10}, [1, 10**400], [0, -(10**400)], "at least 1 steps"),
        ({"above": 0, "example": 1}, [5e-324], [0, -1.0], "above 0"),
        ({"at_most": 3, "example": 1}, [3, -7], [4], "at most 3"),
        ({"below": 3, "example": 1}, [2], [3], "below 3"),
    ],
    ids=str,
)
def test_a_number_is_taken_within_its_bounds_and_refused_beyond_them(bounds, fits, not_so, words):
    for value in fits:
        gptlab.require("a.key", value, **bounds)
    for value in not_so:
        with pytest.raises(gptlab.UserError) as refused:
            gptlab.require("a.key", value, **bounds)
        said = str(refused.value)
        assert said == f"a.key must be {words}: got {value}. Try a.key={bounds['example']}."


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_bound_lets_through_what_is_not_finite(value):
    for bounds in (BETA, {"above": 0, "example": 1}, {"at_most": 3, "example": 1}):
        with pytest.raises(gptlab.UserError, match=f"got {value}"):
            gptlab.require("a.key", value, **bounds)
    with pytest.raises(gptlab.UserError, match="must be a finite number above 0: got inf"):
        gptlab.require("a.key", math.inf, above=0, example=1)


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], 0.5j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(gptlab.UserError, match="must be at least 0 and below 1"):
        gptlab.require("a.key", value, **BETA)


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0, "above": 0}, {"at_most": 1, "below": 1}], ids=str)
def test_bounds_that_say_nothing_or_two_things_are_the_authors_mistake(bounds):
    with pytest.raises(ValueError, match="bound"):
        gptlab.require("a.key", 1, **bounds, example=1)
