"""The schedule wsd: three parts, each against plain Python."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptlab.checks import assert_passes
from gptlab.errors import UserError
from gptlab.optim.schedules import WarmupStableDecay as Wsd


def plain(step, steps, warmup, decay, final):
    stable_until = steps - decay
    if step < warmup:
        return (step + 1) / warmup
    return 1.0 if step <= stable_until else final ** ((step - stable_until) / decay)


def test_it_passes_the_checks():
    assert_passes("wsd")


@pytest.mark.parametrize(("decay", "final"), [(0.1, 0.1), (0.25, 0.01), (1.0, 0.5)])
@pytest.mark.parametrize("warmup", [0, 20])
def test_every_step_is_that_of_plain_python(warmup, decay, final):
    schedule = Wsd(warmup=warmup, decay=decay, final=final)
    expected = [plain(step, 220, warmup, decay * (220 - warmup), final) for step in range(220)]
    assert [schedule(step, 220) for step in range(220)] == pytest.approx(expected, rel=1e-9)


def test_the_last_tenth_falls_and_nothing_before_it():
    factors = [Wsd()(step, 1000) for step in range(1000)]
    assert set(factors[:901]) == {1.0}
    assert all(after < before for before, after in pairwise(factors[900:]))
    assert factors[950] == pytest.approx(0.1**0.5)
    assert factors[-1] == pytest.approx(0.1, rel=0.03)


@given(
    st.integers(1, 5000),
    st.integers(0, 500),
    st.floats(1e-3, 1),
    st.floats(1e-6, 1, exclude_min=True),
    st.data(),
)
def test_a_factor_lies_between_final_and_1(steps, warmup, decay, final, data):
    step = data.draw(st.integers(0, steps - 1))
    factor = Wsd(warmup=warmup, decay=decay, final=final)(step, steps)
    assert (0 if step < warmup else final * (1 - 1e-9)) < factor <= 1


@pytest.mark.parametrize(
    ("field", "value"), [("decay", 0.0), ("final", 0.0), ("final", 1.1), ("decay", float("nan"))]
)
def test_a_field_out_of_range_is_refused(field, value):
    with pytest.raises(
        UserError, match=rf"^schedule\.{field} must be .*got {value}\. Try schedule\.{field}="
    ):
        Wsd(**{field: value})
