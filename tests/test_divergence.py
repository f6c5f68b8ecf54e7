"""A run that took all its steps and has nothing to show for them says so."""

import math

import pytest

from gptlab.divergence import divergence
from gptlab.loss_text import loss_text

GUESS = math.log(597)


def rows_of(first: float, train: float, val: float | None, before: float | None = None):
    rows = [] if before is None else [(0, {"val/loss": before})]
    rows += [(1, {"train/loss": first, "train/smoothedLoss": first})]
    last = {"train/loss": train, "train/smoothedLoss": train}
    return [*rows, (100, last if val is None else {**last, "val/loss": val})]


@pytest.mark.parametrize(
    "rows",
    [
        rows_of(6.4, 1e9, 1.7e21),
        rows_of(6.4, 8.0, 7.5),
        rows_of(6.4, 9.0, None),
        rows_of(6.4, 2.0, 1e5),  # the last update broke it
        rows_of(6.4, 40.0, 30.0, before=11.0),
    ],
    ids=["far", "above-a-guess", "without-validation", "last-update", "worse-than-it-began"],
)
def test_it_has_diverged(rows):
    said = divergence(rows, 597, 0.5)
    assert said.startswith("diverged: the ") and f"uniform guess, {GUESS:.3f}" in said
    assert "train.learningRate=0.05" in said and "\n" not in said and len(said) < 200


@pytest.mark.parametrize(
    "rows",
    [
        [],
        rows_of(6.4, 1.8, 1.8),
        rows_of(6.5, 6.5, 6.6),  # has learned nothing yet
        rows_of(6.4, 0.2, 9.0),  # knows its documents by heart
        rows_of(12.0, 11.5, 11.0, before=12.0),  # began with what is worse than a guess
        rows_of(6.4, 8.0, 3.0),  # has come back
    ],
    ids=["nothing", "good", "early", "by-heart", "began-bad", "back"],
)
def test_it_has_not(rows):
    assert divergence(rows, 597, 0.5) == ""


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (1734784797126820626432.0, "1.7e+21"),
        (-3.2e4, "-3.2e+04"),
        (9999.0, "9999.000"),
        (1.8234, "1.823"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
    ids=str,
)
def test_a_loss_is_printed_in_a_few_digits(loss, text):
    assert loss_text(loss) == text
