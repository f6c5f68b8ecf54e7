"""The listener `early`: when it stops a run, by numbers that are told to it."""

from pathlib import Path

import pytest

from gptlab.data.facts import DatasetFacts
from gptlab.errors import UserError
from gptlab.plugins.early import Early
from gptlab.runs.run import Run


def make_run(*rows) -> Run:
    config = {"train": {"evalEvery": 10}}
    run = Run("tiny", "", Path(), config, [], DatasetFacts("names", "gptlab", "0", 3, 2, 1), {})
    run.metrics += rows
    return run


def stopped_at(early: Early, losses: list[float], run: Run | None = None, metric="val/loss") -> int | None:
    """Which of the evaluations it stops at, from 0 on."""
    run = run or make_run()
    watching = early.begin(run)
    for i, loss in enumerate(losses):
        watching.gptlab_evaluated(run, 10 * i, {metric: loss})
        if run.stopped:
            return i
    return None


@pytest.mark.parametrize(
    ("fields", "losses", "expected"),
    [
        ({"patience": 2}, [3, 2, 2, 2, 1], 3),
        ({"patience": 2}, [3, 2, 2.5, 1.9, 2, 1.8], None),
        ({"patience": 2, "minDelta": 0.5}, [3, 2.6, 2.6, 2], 2),
        ({"patience": 2, "minDelta": 0.5}, [3, 2.6, 2.4, 2.3, 2.3], 4),
        ({"patience": 1, "mode": "max"}, [0.1, 0.2, 0.2], 2),
        ({}, [1, 1, 1, 1, 1, 1], 5),
        ({"reaches": 1.5}, [3, *[3] * 20, 1.5], 21),
        ({"reaches": 0.99, "mode": "max"}, [0.1, 0.9, 0.995], 2),
        ({"reaches": 1.5, "patience": 1}, [3, 3], 1),
        ({"patience": 1}, [float("inf"), 2, 1], 0),
    ],
    ids=str,
)
def test_where_it_stops(fields, losses, expected):
    assert stopped_at(Early(**fields), losses) == expected


def test_the_step_at_which_a_threshold_is_reached_is_a_number():
    run = make_run()
    watching = Early(metric="val/accuracy", mode="max", reaches=0.99).begin(run)
    assert watching.gptlab_evaluated(run, 400, {"val/accuracy": 0.5}) == {}
    assert watching.gptlab_evaluated(run, 500, {"val/accuracy": 0.99}) == {"reached": 500.0}
    assert run.stopped == "val/accuracy has reached 0.99"


@pytest.mark.parametrize("seen", range(6))
def test_one_that_is_resumed_stops_where_it_would_have(seen):
    losses = [3.0, 2.0, 2.5, 2.25, 2.0, 2.5, 1.0]
    rows = []
    for i, loss in enumerate(losses[:seen], 1):  # rows of steps that are not evaluated, between them
        rows += [(10 * i - 5, {"train/loss": 1.0}), (10 * i, {"val/loss": loss})]
    assert stopped_at(Early(patience=4), losses[seen:], make_run(*rows)) == 5 - seen


def test_a_metric_that_is_not_logged_is_told_with_those_that_are():
    run = make_run()
    with pytest.raises(UserError, match=r"got val/los\. Try one of train/loss, val/loss\.$"):
        Early(metric="val/los").begin(run).gptlab_evaluated(run, 10, {"train/loss": 1.0, "val/loss": 1.0})


@pytest.mark.parametrize("fields", [{"patience": 0}, {"minDelta": -1.0}, {"mode": "least"}], ids=str)
def test_fields_out_of_range_are_refused(fields):
    with pytest.raises(UserError, match=f"^listener.early.{next(iter(fields))} must be "):
        Early(**fields)
