"""Curves and durations of the live panel."""

import pytest

from gptlab.launch.progress.curve import BLOCKS, LIMIT, Curve, sparkline
from gptlab.launch.progress.live import duration


def test_a_curve_keeps_few_numbers_and_its_shape():
    curve = Curve()
    for step in range(100_000):
        curve.add(float(step))
    assert LIMIT // 2 <= len(curve.means) < LIMIT
    assert curve.means == sorted(curve.means)
    assert sparkline(curve.means, 8) == BLOCKS


@pytest.mark.parametrize(
    ("values", "width", "line"),
    [([], 5, ""), ([1.0], 5, "▁"), ([3.0, 3.0], 5, "▁▁"), ([0.0, 7.0, 0.0, 7.0], 2, "▁▁"), ([1, 2], 0, "")],
)
def test_a_sparkline_of_little(values, width, line):
    assert sparkline(values, width) == line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03")], ids=str
)
def test_durations(seconds, text):
    assert duration(seconds) == text
