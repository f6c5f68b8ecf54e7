"""Objectives and metrics: wrong ones, each found out by the check that is there for it."""

import numpy as np
import pytest

from gptlab.checks import check_names
from gptlab.checks.check import Findings
from gptlab.checks.judging import check_a_metric, check_an_objective
from gptlab.engines.measured import DOCUMENT, RATIO
from gptlab.model.objective import Answers, NextToken
from gptlab.plugins.builtins import METRICS
from gptlab.plugins.loading import load_plugins
from tests.objectives import Counting, TwoHeads

REGISTRY = load_plugins(discover=False).registry


def failures(check, *arguments):
    findings = Findings("kind", "name", [])
    check(*arguments, findings)
    assert len(findings.checks) > 2
    return {check.what: check.problem for check in findings.checks if not check.passed}


class Wrong(NextToken):
    """Of one hash whatever its class has."""


class PeekingAhead(Wrong):
    def __call__(self, weights, hidden, logits, tokens, targets, context):
        losses = logits.cross_entropy(targets)
        later = (hidden[1:] * hidden[1:]).sum().concatenate(hidden.constant([0.0]), axis=0)
        return losses + later * 0.1, None


class Neighbouring(Wrong):
    """The token that stands before in the row, of whichever document."""

    def __call__(self, weights, hidden, logits, tokens, targets, context):
        behind = hidden.constant([0.0]).concatenate((hidden * hidden).sum()[:-1], axis=0)
        return logits.cross_entropy(targets) + behind, None


class Certain(Wrong):
    """Where the model is certain it is judged."""

    def __call__(self, weights, hidden, logits, tokens, targets, context):
        largest = logits.largest().data
        return logits.cross_entropy(targets), np.asarray(largest)[:, 0] > 1.5


class Negative(Wrong):
    def __call__(self, weights, hidden, logits, tokens, targets, context):
        return logits.cross_entropy(targets), 1.0 - (targets > 5) * 3.0


class Drawing(Wrong):
    def __call__(self, weights, hidden, logits, tokens, targets, context):
        return logits.cross_entropy(targets) * (1.0 + 1e-13 * float(np.random.uniform())), None


class Detached(Wrong):
    """Another slope than its losses have."""

    def __call__(self, weights, hidden, logits, tokens, targets, context):
        losses = logits.cross_entropy(targets)
        return losses + logits.largest()[:, 0] * 0.5, None


class Summed(Wrong):
    def __call__(self, weights, hidden, logits, tokens, targets, context):
        return logits.cross_entropy(targets).sum(0).reshape(1), None


class Lossless(Wrong):
    def __call__(self, weights, hidden, logits, tokens, targets, context):
        return logits.cross_entropy(targets)


@pytest.mark.slow
@pytest.mark.parametrize("good", [NextToken(0.1, 0.1), Answers(), Counting(), TwoHeads()])
def test_good_ones_pass(good):
    assert failures(check_an_objective, REGISTRY, good) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "what", "said"),
    [
        (PeekingAhead(), "position by position", "losses depend on the hidden of later positions"),
        (Neighbouring(), "documents share a row", "document 1 of 3 in a row has other losses than alone"),
        (Negative(), "counts", "counts must be numbers of at least 0"),
        (Drawing(), "repeatable", "gives different bits"),
        (Detached(), "gradient, scalar engine", "central differences say"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Wrong) else "",
)
def test_a_wrong_objective_is_found_out(wrong, what, said):
    assert said in failures(check_an_objective, REGISTRY, wrong)[what]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Summed(), "the objective Summed must give losses of (2,), one a position: got (1,)"),
        (Lossless(), "must give losses, a Tensor, and counts: got Tensor. Write `return losses, None`"),
    ],
)
def test_what_is_no_objective_is_said_so(wrong, said):
    findings = Findings("objective", "wrong", [])
    check_an_objective(REGISTRY, wrong, findings)
    assert said in findings.checks[-1].problem


@pytest.mark.slow
def test_counts_that_the_model_makes_are_no_yardstick():
    class Scalar(Certain):
        engines = ("scalar",)

    found = failures(check_an_objective, REGISTRY, Scalar())
    assert "counts depend on what the model computes" in found["counts"]


def metric(function, **attributes):
    return type("Metric", (), {"__call__": lambda self, *arguments: function(*arguments), **attributes})()


@pytest.mark.parametrize(
    ("function", "what", "said"),
    [
        (lambda xp, x, t, y, c: (x.argmax(-1) == y, c * 0 + 1), "right and counts", "must have a count of 0"),
        (
            lambda xp, x, t, y, c: ((x.argmax(-1) == y).mean(), c),
            "right and counts",
            "right and counts must be (21,)",
        ),
        (
            lambda xp, x, t, y, c: (xp.cumsum(x.argmax(-1) == y), c),
            "documents share a row",
            "right of a document depends on others in its row",
        ),
        (
            lambda xp, x, t, y, c: (x[:, 0] + (xp.__name__ == "numpy"), c),
            "engines agree",
            "right differs (xla, scalar)",
        ),
    ],
    ids=["counts all", "a mean", "a running sum", "one engine"],
)
def test_a_wrong_metric_is_found_out(function, what, said):
    findings = Findings("metric", "wrong", [])
    check_a_metric(REGISTRY, metric(function, of=DOCUMENT), findings)
    assert said in {check.what: check.problem for check in findings.checks}[what]


def test_a_wrong_ratio_is_found_out_and_what_a_metric_says_wrongly_of_itself():
    findings = Findings("metric", "wrong", [])
    check_a_metric(REGISTRY, metric(lambda xp, x, t, y, c: (x[:, 0], c), of=RATIO), findings)
    assert "must add 0 to either sum of a ratio" in findings.checks[-1].problem
    for attributes, said in (
        ({"of": "word"}, '`of` must be "document" or "ratio", or left out: got \'word\''),
        ({"slicedBy": "lenght"}, "Did you mean length?"),
        (
            {"slicedBy": "position", "of": DOCUMENT},
            "must be sliced by what tells them apart: got by=position",
        ),
    ):
        findings = Findings("metric", "wrong", [])
        check_a_metric(REGISTRY, metric(lambda xp, x, t, y, c: (x[:, 0], c), **attributes), findings)
        assert said in findings.checks[-1].problem


def test_those_that_are_built_in_are_checked_by_their_names():
    assert [c for c in check_names(load_plugins(discover=False), list(METRICS)) if not c.passed] == []
