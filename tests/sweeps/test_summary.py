"""The summary of a sweep: order, tables, means over seeds, what failed and why."""

import csv
import io
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gptlab.drawing.table import aligned
from gptlab.sweeps.groups import Group, difference, groups_over_seeds, verdict
from gptlab.sweeps.record import KILLED, PRUNED
from gptlab.sweeps.summary import summarize
from gptlab.sweeps.table import printed
from gptlab.sweeps.trial import objective
from gptlab.sweeps.values import labels, ranked, swept_values
from tests.sweep_records import failed, rates_and_seeds, record, thousand, with_metrics


def test_jobs_are_ranked_best_first_the_failed_last() -> None:
    jobs = [
        failed(0, {}, "nan"),
        record(1, {}, 2.5),
        record(2, {}, 1.0, status=KILLED),
        record(3, {}, 2.1),
        record(4, {}, None),
        record(5, {}, 0.9, status=PRUNED),
    ]
    assert [job.number for job in ranked(jobs)] == [3, 1, 4, 5, 2, 0]


@pytest.mark.slow
def test_the_files_are_returned_and_lie_in_the_folder(tmp_path: Path) -> None:
    summary = summarize(tmp_path / "sweep", rates_and_seeds(), name="learningRate × seed of tiny")
    expected = {"summary.csv", "sweep.html", "losses.png", "by-learningRate.png", "by-seed.png"}
    assert set(summary.files) == expected
    assert {file.name for file in (tmp_path / "sweep").iterdir()} == expected
    for name, content in summary.files.items():
        assert (tmp_path / "sweep" / name).read_bytes() == content
        assert name.endswith((".csv", ".html")) or content.startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_tables_hold_every_job_and_fact(tmp_path: Path) -> None:
    summary = summarize(tmp_path, rates_and_seeds())
    rows = list(csv.DictReader(io.StringIO(summary.files["summary.csv"].decode())))
    assert len(rows) == 15
    first, last = rows[0], rows[-1]
    assert (first["rank"], first["train.learningRate"], first["seed"]) == ("1", "0.01", "0")
    assert float(first["bestValLoss"]) == pytest.approx(2.18)
    assert {first[key] for key in ("parameters", "status", "seconds")} == {"4192", "FINISHED", "1.5"}
    assert (last["status"], last["reason"]) == ("FAILED", "the loss is no longer finite\nat step 200")
    assert summary.table["columns"] == [name.replace(".", "/") for name in first]
    assert len(summary.table["data"]) == 15
    json.dumps(summary.table, allow_nan=False)


@pytest.mark.slow
def test_the_text_says_what_happened_best_first(tmp_path: Path) -> None:
    summary = summarize(tmp_path, rates_and_seeds(), name="tiny")
    lines = summary.text.splitlines()
    assert lines[0] == "tiny: 15 jobs: 13 finished, 2 failed"
    headers = [
        "learningRate",
        "seed",
        "parameters",
        "last val",
        "best val",
        "at step",
        "train,",
        "smoothed",
        "time",
        "status",
    ]
    assert lines[2].split() == " ".join(headers).split()
    assert lines[4].split()[:4] == ["1", "0.01", "0", "4,192"]
    assert summary.best is not None and summary.best.run.name == "learningRate=0.01 seed=2"
    assert summary.best.overrides == {"train.learningRate": "0.01"}
    assert (
        "best over seeds: learningRate=0.01, mean last validation loss 2.2000 over 5 seeds; the run nearest to "
        "that mean: learningRate=0.01 seed=2, 2.2000"
    ) in summary.text
    reason = "failed: learningRate=0.1 seed=0 and 1 more: the loss is no longer finite at step 200"
    assert reason in summary.text


def test_in_a_narrow_terminal_words_go_below_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    text = aligned(["a long name", "last val"], [["these words are wrapped at last", "1234567890"]], left={0})
    lines = [line.split() for line in text.splitlines()]
    assert lines[:3] == [["a"], ["long", "last"], ["name", "val"]]
    assert lines[4:] == [["these", "words", "are", "wrapped", "1234567890"], ["at", "last"]]


def test_one_job_and_none(tmp_path: Path) -> None:
    assert summarize(tmp_path, [record(0, {"seed": "1"}, 2.0)]).text.startswith("1 job: 1 finished")
    nothing = summarize(tmp_path, [], name="tiny")
    assert (nothing.text, nothing.best) == ("tiny: 0 jobs", None)


def test_only_failures_have_no_best_and_no_pictures(tmp_path: Path) -> None:
    summary = summarize(tmp_path, [failed(i, {"seed": str(i)}, "") for i in range(3)])
    assert summary.best is None
    assert list(summary.files) == ["summary.csv", "sweep.html"]
    assert "failed: seed=0 and 2 more: no reason was kept" in summary.text


@pytest.mark.slow
def test_without_validation_the_training_loss_is_what_is_compared(tmp_path: Path) -> None:
    jobs = [
        replace(
            record(i, {"model.nEmbd": str(8 * i)}, 2.0 + i), valLoss=None, bestValLoss=None, bestStep=None
        )
        for i in (1, 2)
    ]
    summary = summarize(tmp_path, jobs)
    assert "best: nEmbd=8, smoothed training loss 3.0000" in summary.text
    assert "best val" not in summary.text


@pytest.mark.slow
def test_a_metric_that_all_have_is_a_column_and_ranks_nothing(tmp_path: Path) -> None:
    jobs = [
        with_metrics(record(i, {"seed": str(i)}, 2.0 + i), val__accuracy=0.5 + i / 8, val__top=1.0)
        for i in range(2)
    ]
    jobs.append(failed(2, {"seed": "2"}, "nan"))
    summary = summarize(tmp_path, jobs)
    header, _, *lines = summary.text.split("\n\n")[1].splitlines()[:5]
    at = header.index("accuracy") + len("accuracy")
    cells = [line[:at].split()[-1] for line in lines]
    assert cells == ["0.5000", "0.6250", "-"], "the lower loss first, as ever"
    assert "top" not in header, "the first metric only"
    rows = list(csv.DictReader(io.StringIO(summary.files["summary.csv"].decode())))
    assert [(row["val/accuracy"], row["val/top"]) for row in rows] == [
        ("0.5", "1.0"),
        ("0.625", "1.0"),
        ("", ""),
    ]
    assert {"val/accuracy", "val/top"} < {*summary.table["columns"]}
    lacking = [*jobs, record(3, {"seed": "3"}, 2.0)]
    assert "accuracy" not in summarize(tmp_path, lacking).text, "one that was evaluated has none"


def test_keys_are_called_short_unless_two_would_be_alike() -> None:
    found = labels(["model.nEmbd", "model/norm", "+experiment", "schedule.warmup", "train.warmup"])
    assert list(found.values()) == ["nEmbd", "norm", "experiment", "schedule.warmup", "train.warmup"]


def test_swept_values_are_in_order() -> None:
    jobs = [
        record(i, {"a": a, "b": b, "c": "same"}, 2.0)
        for i, (a, b) in enumerate([("1e-3", "x"), ("1e-4", "b")])
    ]
    assert swept_values(jobs) == {"a": ["1e-4", "1e-3"], "b": ["x", "b"]}


@pytest.mark.slow
def test_other_data_are_not_compared_without_a_word(tmp_path: Path) -> None:
    jobs = [record(i, {"data": name}, 2.0) for i, name in enumerate(("names", "sentences"))]
    assert "can be compared only for the same data" in summarize(tmp_path, jobs).text
    assert "compared only" not in summarize(tmp_path, rates_and_seeds()).text


@pytest.mark.slow
def test_objectives_are_not_compared_without_a_word(tmp_path: Path) -> None:
    jobs = [record(i, {"objective.after": what}, 2.0) for i, what in enumerate(("the", "cat"))]
    text = summarize(tmp_path, jobs).text
    assert (
        "The objectives differ: objective.after. Losses can be compared only where the same tokens count."
        in text
    )
    jobs = [record(i, {"objective.zLoss": what}, 2.0) for i, what in enumerate(("0", "1e-4"))]
    assert "The objectives differ" not in summarize(tmp_path, jobs).text


@pytest.mark.slow
def test_seeds_are_taken_together(tmp_path: Path) -> None:
    groups = groups_over_seeds(rates_and_seeds(), ["train.learningRate", "seed"])
    assert [(g.name, len(g.losses), g.jobs) for g in groups] == [
        ("learningRate=0.01", 5, 5),
        ("learningRate=0.001", 5, 5),
        ("learningRate=0.1", 3, 5),
    ]
    assert groups[0].mean == pytest.approx(2.2)
    assert groups[0].deviation == pytest.approx(0.01 * math.sqrt(2.5))
    text = summarize(tmp_path, rates_and_seeds()).text
    assert "over seeds:" in text
    row = next(line for line in text.partition("over seeds:")[2].splitlines() if line.startswith("1 "))
    assert row.split() == ["1", "0.01", "2.2000", "0.0158", "2.1800", "2.2200", "5", "-", "-", "0"]
    assert "differ by 0.2000 seed by seed over the 5 seeds that both have" in text
    assert "more than seeds alone would." in text


@pytest.mark.slow
def test_equal_runs_are_one_sample_however_often_and_however_they_are_written(tmp_path: Path) -> None:
    """`seed=1,1,2` is two seeds, and so is what a sampler asked for again."""
    runs = [
        ("0.01", "1", 2.0),
        ("1e-2", "1", 2.0),
        ("0.01", "2", 2.3),
        ("0.02", "1", 2.5),
        ("0.02", "2", 2.6),
    ]
    jobs = [
        record(i, {"train.learningRate": rate, "seed": seed}, loss)
        for i, (rate, seed, loss) in enumerate(runs * 2)
    ]
    jobs.append(failed(10, jobs[0].overrides, "the disk was full"))  # of which an equal one has finished
    summary = summarize(tmp_path, jobs)
    table = summary.text.partition("over seeds:")[2].splitlines()
    rows = [line.split() for line in table if line.startswith(("1 ", "2 "))]
    assert rows == [
        ["1", "0.01", "2.1500", "0.2121", "2.0000", "2.3000", "2", "-", "-"],
        # Twelve times the standard error of two differences, 0.5 and 0.3: Student's t of one degree of freedom.
        ["2", "0.02", "2.5500", "0.0707", "2.5000", "2.6000", "2", "0.4000", "1.2706"],
    ]
    assert "over the 2 seeds that both have" in summary.text
    assert "7 jobs repeat the config and seed of another: equal runs count once" in summary.text
    assert "repeat" not in summarize(tmp_path, rates_and_seeds()).text


def test_without_seeds_equal_runs_are_one_sample_as_well() -> None:
    jobs = [record(i, {"model.nEmbd": "8"}, 2.0) for i in range(3)]
    (group,) = groups_over_seeds(jobs, ["model.nEmbd"])
    assert (group.losses, group.jobs) == ([2.0], 1) and math.isnan(group.deviation)


@pytest.mark.slow
def test_the_best_is_the_best_setting_over_seeds_and_not_the_luckiest_run(tmp_path: Path) -> None:
    losses = {"0.1": (1.9, 2.8, 2.8), "0.01": (2.05, 2.15, 2.25)}
    runs = [(rate, str(seed), loss) for rate, found in losses.items() for seed, loss in enumerate(found)]
    jobs = [
        record(i, {"train.learningRate": rate, "seed": seed}, loss)
        for i, (rate, seed, loss) in enumerate(runs)
    ]
    summary = summarize(tmp_path, jobs)
    assert summary.best is not None and summary.best.overrides == {"train.learningRate": "0.01"}
    assert summary.best.run.number == 4 and summary.said in summary.text
    assert summary.said.startswith(
        "best over seeds: learningRate=0.01, mean last validation loss 2.1500 over 3"
    )
    only_seeds = [record(i, {"seed": str(i)}, 2.0 + i) for i in range(3)]
    said = summarize(tmp_path, only_seeds).said
    assert said.startswith("best over seeds: all jobs, mean last validation loss 3.0000 over 3 seeds")


@pytest.mark.slow
def test_a_diverged_run_ranks_last_is_shown_and_is_in_no_mean(tmp_path: Path) -> None:
    reason = "diverged: the validation loss at its end, 1.7e+21, is above that of a uniform guess, 6.392."
    jobs = rates_and_seeds()[:10]
    worse = {"train.learningRate": "1", "seed": "0"}
    # Of a good start the best validation loss is left, lower than all others.
    jobs.append(replace(record(10, worse, 1.5), diverged=reason, valLoss=1.7e21))
    jobs.append(record(11, {**worse, "seed": "1"}, 1.6))
    assert ranked(jobs)[-1].number == 10 and objective(jobs[10]) == math.inf
    summary = summarize(tmp_path, jobs)
    assert summary.text.startswith("12 jobs: 12 finished, 1 diverged")
    assert f"no use: learningRate=1 seed=0: {reason}" in summary.text
    assert "1.7e+21" in printed(jobs, ["seed"]) and "finished, diverged" in printed(jobs, ["seed"])
    # With one seed of a setting broken down, the mean of the others is that of the lucky.
    groups = groups_over_seeds(jobs, ["train.learningRate", "seed"])
    assert [(g.name, g.losses, g.jobs, g.lost) for g in groups][-1] == ("learningRate=1", [1.6], 2, 1)
    assert summary.best is not None and summary.best.overrides == {"train.learningRate": "0.01"}
    rows = list(csv.DictReader(io.StringIO(summary.files["summary.csv"].decode())))
    assert rows[-1]["diverged"] == reason


def group(name: str, losses: dict[int, float]) -> Group:
    """Of jobs by their seeds."""
    jobs = [
        record(i, {"model/norm": name, "seed": str(seed)}, loss)
        for i, (seed, loss) in enumerate(losses.items())
    ]
    (found,) = groups_over_seeds(jobs, ["model/norm", "seed"])
    return found


def test_a_difference_is_taken_seed_by_seed_as_scipy_takes_it() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    luck = rng.normal(2.0, 0.1, 8)  # of a seed, which both have
    first, second = luck + rng.normal(0, 0.01, 8), luck + rng.normal(0.02, 0.01, 8)
    found = difference(group("a", dict(enumerate(first))), group("b", dict(enumerate(second))))
    known = ttest_rel(second, first)
    assert found is not None and (found.seeds, found.mean) == (8, pytest.approx((second - first).mean()))
    low, high = known.confidence_interval(0.95)
    assert found.margin == pytest.approx((high - low) / 2)
    assert not found.within_spread, "Welch's test would say that it may be chance"


def test_only_seeds_that_both_have_are_compared() -> None:
    first = group("a", {0: 2.0, 1: 2.1, 2: 2.2, 3: 5.0})
    second = group("b", {4: 1.0, 2: 2.3, 1: 2.2, 0: 2.1})
    found = difference(first, second)
    assert found is not None and (found.seeds, found.mean) == (3, pytest.approx(0.1))
    assert "differ by 0.1000 seed by seed over the 3 seeds of 4 that both have" in verdict([first, second])


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([[2.00, 2.02, 2.04], [2.01, 2.03, 2.02]], ["no more than seeds alone would, so it may be chance"]),
        # Far less than the spread, and the same in each seed.
        (
            [[2.00, 2.20, 2.40], [2.01, 2.212, 2.411]],
            ["more than seeds alone would.", "fewer than 6 seeds reach no p"],
        ),
        (
            [[2.0, 2.2, 2.4] * 4, [2.1, 2.15, 2.6] * 4],
            ["sign-flip p = 0.", "in 4 of them it is the other way round"],
        ),
        ([[2.0, 2.2, 2.4, 2.1, 2.3], [2.1, 2.0, 2.5, 2.2, 2.2]], ["it may be chance"]),
        ([[2.0], [2.1, 2.2]], ["norm=a has one seed only"]),
        ([[2.0, 2.0], [2.0, 2.0]], ["no more than seeds alone would, so it may be chance"]),
        ([[2.0, 2.0], [2.1, 2.1]], ["more than seeds alone would."]),
        ([[2.0, 2.1]], []),
    ],
)
def test_a_difference_is_held_against_what_seeds_do(losses: list[list[float]], said: list[str]) -> None:
    groups = [group(name, dict(enumerate(of))) for name, of in zip("ab", losses, strict=False)]
    sentence = verdict(groups)
    assert all(words in sentence for words in said) and bool(sentence) == bool(said)


def test_without_common_seeds_nothing_is_told_apart() -> None:
    groups = [group("a", {0: 2.0, 1: 2.1}), group("b", {2: 3.0, 3: 3.1})]
    assert difference(*groups) is None
    assert "norm=a and norm=b have fewer than two seeds in common: give both the same" in verdict(groups)


@pytest.mark.slow
def test_jobs_are_ranked_by_their_last_loss_unless_the_best_is_asked_for(tmp_path: Path) -> None:
    jobs = [
        replace(record(0, {"model.nEmbd": "8"}, 2.0), bestValLoss=1.5),
        record(1, {"model.nEmbd": "16"}, 1.9),
    ]
    assert [job.number for job in ranked(jobs)] == [1, 0] and objective(jobs[0]) == 2.0
    assert "best: nEmbd=16, last validation loss 1.9000" in summarize(tmp_path, jobs).text
    asked = [replace(job, rank="best") for job in jobs]
    assert [job.number for job in ranked(asked)] == [0, 1] and objective(asked[0]) == 1.5
    assert "best: nEmbd=8, best validation loss 1.5000" in summarize(tmp_path, asked).text


@pytest.mark.slow
def test_a_thousand_jobs_are_summarized_from_their_records(tmp_path: Path) -> None:
    jobs = thousand()
    began = time.process_time()
    summary = summarize(tmp_path, jobs)
    print(f"{time.process_time() - began:.1f} s")  # a figure to see, not to fail on
    assert len(summary.table["data"]) == 1000
    assert len(summary.text.splitlines()) < 60, "what is printed stays readable"
    assert "... and 990 more, all in summary.csv" in summary.text
    assert "970 finished, 30 failed" in summary.text
