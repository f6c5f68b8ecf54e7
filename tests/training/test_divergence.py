"""A run that took all its steps and has nothing to show for them says so."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.sweeps.closing import JOBS, summed_up, with_counts
from gptlab.sweeps.compared import run_in
from gptlab.sweeps.record import read_records
from gptlab.sweeps.summary import summarize
from gptlab.training.divergence import advice, divergence
from gptlab.training.metric_rows import loss_text, rows_in

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


@pytest.mark.parametrize(
    ("first", "blamed"),
    [
        ({}, "learning rate: train.learningRate=0.05"),  # of what goes on with a run
        ({"train/loss": 29.0, "train/gradNorm": 900.0}, "learning rate: train.learningRate=0.05"),
        ({"train/loss": 2.8e11, "train/gradNorm": 1.0}, "model.initStd"),
        ({"train/loss": math.nan, "train/gradNorm": math.nan}, "model.initStd"),
        ({"train/loss": 6.4, "train/gradNorm": math.nan}, "model.initStd"),
    ],
    ids=["unknown", "usual", "huge", "nan", "gradient"],
)
def test_what_was_broken_from_the_start_is_not_laid_to_the_rate(first, blamed):
    said = advice(first, 0.5)
    assert blamed in said and ("learning rate" in said) == (blamed != "model.initStd")


@pytest.mark.slow
@pytest.mark.parametrize("std", ["1e30", "1e10", "1000"])
def test_weights_that_begin_too_large_are_named(std, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["+experiment=tiny", f"model.initStd={std}", "tracking=none", "train.numSteps=3", "model.nEmbd=4"])
    said = "".join(capsys.readouterr())
    assert "model.initStd" in said and "lower learning rate" not in said


QUICK = [
    *(
        "+experiment=tiny",
        "data=questions",
        "engine=scalar",
        "model.nEmbd=2",
        "model.nHead=2",
        "model.nLayer=1",
    ),
    *("data.valFraction=0", "samples.n=0", "inspect.atEnd=false", "tracking=none", "train.batchSize=1"),
    *("train.numSteps=12", "train.logEvery=1", "schedule=constant"),
]


@pytest.mark.slow
def test_a_run_that_diverged_says_so_at_its_end_and_keeps_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, "train.learningRate=100", "hydra.run.dir=run"]) == 0
    out = capsys.readouterr().out
    (said,) = [line for line in out.splitlines() if line.startswith("The run has diverged: ")]
    assert "train.learningRate=10." in said and re.search(r"\d{6}", out.partition("step")[2]) is None
    assert json.loads(Path("run/run.json").read_text())["diverged"] == said.removeprefix("The run has ")
    assert run_in(Path("run")).record.diverged in said
    # What sets it apart from a run that ends well.
    assert main([*QUICK, "train.learningRate=0.01", "hydra.run.dir=good"]) == 0
    assert "diverged" not in capsys.readouterr().out and run_in(Path("good")).record.diverged == ""


@pytest.mark.slow
def test_a_sweep_tells_its_parent_the_best_setting_the_run_that_stands_for_it_and_what_diverged(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["-m", *QUICK, "progress=none", "train.learningRate=0.01,100", "seed=1,2"]) == 0
    (folder,) = tmp_path.glob("runs/*/*-sweep")
    records = read_records(folder)
    assert [bool(record.diverged) for record in records] == [
        record.overrides["train.learningRate"] == "100" for record in records
    ]
    records = [replace(record, runId=f"run{record.number}") for record in records]
    summary = summarize(folder, records)
    text, told = summed_up(folder, records, "")
    found = with_counts(records, told)
    assert summary.text in text
    assert found["metrics"][f"{JOBS}.diverged"] == 2 and found["metrics"][f"{JOBS}.finished"] == 4
    assert found["tags"]["bestOverrides"] == "train.learningRate=0.01"
    assert found["tags"]["best"].startswith(
        "best over seeds: learningRate=0.01, mean smoothed training loss "
    )
    assert found["tags"]["best"] in summary.text
    assert found["best"] == summary.best.run.folder and summary.best.run in summary.best.group.runs


@pytest.mark.slow
def test_metrics_of_a_run_that_became_nan_are_json_and_are_read_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, "train.learningRate=1e200", "hydra.run.dir=run"]) != 0
    lines = Path("run/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=lambda name: pytest.fail(name)) for line in lines]
    assert rows[-1]["train/loss"] in ("NaN", "Infinity")
    (*_, (step, row)) = rows_in(Path("run/metrics.jsonl"))
    assert step == rows[-1]["step"] and not math.isfinite(row["train/loss"])
    assert math.isfinite(run_in(Path("run")).record.smoothedTrainLoss)
