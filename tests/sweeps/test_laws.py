"""Power laws over sizes, drawn where nothing else differs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gptlab.sweeps.by_parameters import (
    best_of_sizes,
    fit_power_law,
    law_sentence,
    more_than_sizes,
    rates_of_each,
)
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.summary import summarize
from gptlab.sweeps.values import labels, swept_values
from tests.sweep_records import record


def sizes_and(key: str, values: Sequence[str]) -> list[JobRecord]:
    """Five widths, on a law; each with all values of another key."""
    jobs = []
    for width in (8, 16, 32, 64, 128):
        for value in values:
            size = 200 * width
            overrides = {"model.nEmbd": str(width), key: value}
            jobs.append(record(len(jobs), overrides, 1.5 + 30 * size**-0.5, parameters=size))
    return jobs


def law_of(jobs: list[JobRecord]) -> str:
    """What is said of the law of these sizes."""
    swept = swept_values(jobs)
    sizes = best_of_sizes(jobs, list(swept))
    return law_sentence(sizes, fit_power_law(sizes), more_than_sizes(swept), rates_of_each(jobs))


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("model/position", ["learned", "rope"]),
        ("model.tieEmbeddings", ["true", "false"]),
        ("+experiment", ["tiny", "book"]),
        ("optimizer", ["adam", "lion"]),
        ("train.batchSize", ["1", "2"]),
        ("ops.mul", ["mul", "half"]),
    ],
)
def test_no_law_is_drawn_through_different_models(key: str, values: list[str]) -> None:
    said = law_of(sizes_and(key, values))
    assert said.startswith(f"No power law: the jobs differ in {labels([key])[key]}, not only in their sizes")


@pytest.mark.parametrize(
    ("key", "values", "rates"),
    [
        ("seed", ["0", "1"], "At one learning rate"),
        ("model.nLayer", ["1", "2"], "At one learning rate"),
        ("optimizer.beta2", ["0.9", "0.99"], "At one learning rate"),
        ("train.learningRate", ["0.01", "0.02"], "At only two learning rates"),
        ("train.learningRate", ["0.003", "0.01", "0.03"], ""),
    ],
)
def test_a_law_of_sizes_says_whether_the_rate_was_tuned(key: str, values: list[str], rates: str) -> None:
    said = law_of(sizes_and(key, values))
    assert said.startswith("Power law: L")
    assert ("which may not be the best for each size" in said) == bool(rates) and rates in said


@pytest.mark.slow
def test_the_summary_refuses_a_law_across_models(tmp_path: Path) -> None:
    summary = summarize(tmp_path, sizes_and("model/position", ["learned", "rope"]))
    assert "No power law: the jobs differ in position" in summary.text
    assert "by-parameters.png" in summary.files
