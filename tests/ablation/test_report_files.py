"""The files of an ablation's report for other programs and other pages, its pictures, and what MLflow shows."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gptlab.ablation.report.as_csv import arms_csv, runs_csv
from gptlab.ablation.report.bands import band, by_seed, curves, differences, loss_bands
from gptlab.ablation.report.files import FILES, report_files, write_report
from gptlab.ablation.report.in_mlflow import shown_in_mlflow
from gptlab.ablation.report.markdown import markdown
from gptlab.ablation.report.page import page
from gptlab.ablation.report.pictures import pictures, png
from gptlab.ablation.report.rates import lowest_by_value
from gptlab.ablation.report.terminal import terminal
from gptlab.ablation.report.words import sentence
from gptlab.ablation.scaling import scaling_of
from gptlab.statistics.paired import paired
from gptlab.tracking.facts import clean_key
from tests.ablation_results import (
    EXAMPLES,
    Fitted,
    Line,
    hostile,
    nine,
    one_arm,
    plain,
    tuned,
    undecided,
    with_failures,
    with_sizes,
)


def table_in(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one_arm", "tuned", "with_sizes", "extreme"])
def test_all_files_can_be_made(name: str) -> None:
    made = report_files(EXAMPLES[name]())
    assert set(made) <= set(FILES)
    assert {
        "ablation.json",
        "report.html",
        "report.md",
        "arms.csv",
        "runs.csv",
        "forest.png",
        "curves.png",
    } <= set(made)
    assert ("rates.png" in made) == (name == "tuned") and ("scaling.png" in made) == (name == "with_sizes")
    for file, content in made.items():
        if file.endswith(".png"):
            assert min(Image.open(io.BytesIO(content)).size) > 200


@pytest.mark.slow
def test_the_files_are_written_and_the_command_is_a_stranger_s(tmp_path: Path) -> None:
    made = replace(plain(), command=["/some/where/bin/gptlab", "ablate", "+experiment=tiny", "seeds=12"])
    names = write_report(made, tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(names) <= set(FILES)
    text = (tmp_path / "new/report.md").read_text(encoding="utf-8")
    assert "\npython -m gptlab ablate +experiment=tiny seeds=12\n" in text and "/some/where" not in text


def test_a_row_an_arm_and_a_row_a_run() -> None:
    rows = table_in(arms_csv(with_failures()))
    assert [row["name"] for row in rows][-3:] == ["activation=gelu", "norm=none", "baseline"]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5", "6", ""]
    first = rows[0]
    assert (first["difference"], first["p"], first["verdict"]) == ("-0.021", "0.0005", "better")
    assert (first["parameters"], first["speedupSteps"]) == ("4480", "1.43")
    assert rows[5]["difference"] == "" and rows[5]["lost"] == "6"
    runs = table_in(runs_csv(with_failures()))
    assert len(runs) == sum(len(setting.runs) for _, setting in with_failures().settings)
    lost = [row for row in runs if row["status"] == "FAILED"]
    assert len(lost) == 8 and all(row["loss"] == "" and "no longer finite" in row["reason"] for row in lost)


def test_the_report_is_a_table_that_github_reads() -> None:
    text = markdown(plain())
    tables = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert tables
    for table in tables:
        widths = {line.replace(r"\|", "").count("|") for line in table.splitlines()}
        assert len(widths) == 1 and re.match(r"\| (-+:?( \| )?)+ \|", table.splitlines()[1])
    assert "| `activation=squaredrelu` | -0.021 | -0.030 to -0.012 | 0.0005 | better | 12 |" in text
    assert "- `activation=squaredrelu` is better than the baseline by 0.021 nats" in text
    for cited in (
        "Fisher 1935",
        "arXiv 2306.10882",
        "Lan and DeMets 1983",
        "Holm 1979",
        "Efron 1987",
        "Schuirmann 1987",
    ):
        assert cited in text
    assert "```bash\npython -m gptlab ablate +experiment=tiny 'arms=[" in text


def test_a_stranger_s_name_is_no_markup_in_the_report() -> None:
    text = markdown(hostile())
    outside = re.sub(r"(`{4,})bash\n.*?\n\1", "", text, flags=re.DOTALL)
    outside = re.sub(r"(?<![\\`])`[^`\n]*`", "", outside)
    assert not re.findall(r"(?<!\\)<|(?<!\\)@|(?<!\\)\$|(?<!\\)\[", outside)
    for line in text.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) in (3, 7, 9)


def test_the_band_of_a_difference_is_that_of_the_paired_test() -> None:
    made = plain()
    arm = made.arms[3]
    found = band(differences(arm.setting, made.baseline))
    ours, theirs = arm.setting.losses, made.baseline.losses
    expected = paired([ours[seed] - theirs[seed] for seed in ours])
    assert found is not None and found.steps[-1] == 1000
    assert found.means[-1] == pytest.approx(expected.mean)
    assert (found.lows[-1], found.highs[-1]) == pytest.approx((expected.interval.low, expected.interval.high))


def test_bands_are_of_the_steps_and_seeds_that_are_there() -> None:
    found = band([{1: 2.0, 2: 1.0, 3: 0.5}, {1: 4.0, 2: 3.0}])
    assert found is not None and found.steps == [1, 2] and found.means.tolist() == [3.0, 2.0]
    alone = band([{1: 2.0}])
    assert alone is not None and alone.lows.tolist() == alone.highs.tolist() == [2.0]
    assert band([]) is None and band([{1: 2.0}, {2: 2.0}]) is None
    lost = with_failures().arms[1].setting
    assert sorted(by_seed(lost)) == [0, 1, 2, 3]
    assert "norm=none" not in loss_bands(with_failures())


def texts_of(picture: Any) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in picture.findobj(Text) if text.get_text()]


def test_the_forest_plot_has_each_arm_at_its_place() -> None:
    picture = pictures(plain())["forest.png"]
    axes = picture.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("activation=squaredrelu", "activation=gelu", "norm=layernorm", "norm=none")
    ]
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xdata()) == 2]
    intervals = {float(line[0][1]): tuple(line[:, 0]) for line in lines if line[0][1] == line[1][1]}
    assert intervals[0.0] == pytest.approx((-0.030, -0.012)) and intervals[3.0] == pytest.approx(
        (0.041, 0.081)
    )
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the best is on top"
    shaded = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((-0.01, 0.01))
    assert "undecided: about 14 more seeds" in texts_of(picture)


def test_the_rates_have_a_line_an_arm_and_their_best_is_ringed() -> None:
    made = tuned()
    axes = pictures(made)["rates.png"].axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert len(lines["+experiment=muon"].get_xdata()) == 4, "one rate failed"
    rings = [line.get_xydata()[0].tolist() for line in axes.lines if line.get_fillstyle() == "none"]
    adam, muon, base = made.arms[0].tuning, made.arms[1].tuning, made.baselineTuning
    expected = [
        (
            float(t.best["train.learningRate"]),
            lowest_by_value(t, "train.learningRate")[t.best["train.learningRate"]],
        )
        for t in (muon, adam, base)
    ]
    assert np.allclose(rings, expected)
    assert axes.get_xscale() == "log"


def test_scaling_has_the_differences_and_the_laws() -> None:
    laws = {"position=rope": Fitted(Line(2.0), Line(1.9))}
    left, right = pictures(with_sizes(), laws)["scaling.png"].axes
    dashed = [line for line in left.lines if line.get_linestyle() == "--"]
    assert [float(line.get_ydata()[0]) for line in dashed] == [2.0, 1.9]
    assert not [
        line for line in pictures(with_sizes())["scaling.png"].axes[0].lines if line.get_linestyle() == "--"
    ]
    drawn = [
        line.get_ydata().tolist()
        for line in right.lines
        if len(line.get_ydata()) == 4 and line.get_marker() == "o"
    ]
    assert drawn[0] == pytest.approx([-0.02, -0.03, -0.04, -0.05])


@pytest.mark.slow
def test_the_laws_are_told_everywhere() -> None:
    laws = {
        "position=rope": Fitted(Line(2.0), Line(1.9)),
        "norm=layernorm": Fitted(refusal="the sign changes."),
    }
    found = with_sizes()
    for text in (terminal(found, laws=laws), markdown(found, laws).replace("\\", ""), page(found, laws)):
        assert "position=rope: baseline L = 2.0, arm L = 1.9." in text
        assert "norm=layernorm: the sign changes." in text


def test_the_laws_that_are_fitted_here_are_taken() -> None:
    found = with_sizes()
    laws = {arm.name: scaling_of(arm.sizes) for arm in found.arms}
    text = terminal(found, laws=laws)
    assert re.search(r"position=rope: baseline L = \S+ · N\^-\S+ \+ 1\.\d+, arm L = ", text)
    assert (
        "norm=layernorm: " in text
        and "No extrapolation: the arm is better at 49,152, 196,608 parameters" in text
    )
    left = pictures(found, laws)["scaling.png"].axes[0]
    dashed = [line for line in left.lines if line.get_linestyle() == "--"]
    points = {line.get_label(): line.get_xydata() for line in left.lines if line.get_marker() == "o"}
    # The first law is that of the baseline, and goes through its losses.
    assert np.interp(points["baseline"][1][0], *dashed[0].get_data()) == pytest.approx(
        points["baseline"][1][1], abs=0.01
    )


def test_no_curves_no_picture_of_them() -> None:
    made = one_arm()
    bare = [[run.curve.clear() for run in setting.runs] for _, setting in made.settings]
    assert bare and curves(made) is None and "curves.png" not in pictures(made)


@pytest.mark.slow
def test_nine_arms_have_nine_colours() -> None:
    axes = pictures(nine())["curves.png"].axes[0]
    colors = [str(line.get_color()) for line in axes.lines]
    assert len(colors) == len(set(colors)) == 10
    assert png(pictures(nine())["curves.png"]).startswith(b"\x89PNG")


def test_mlflow_shows_verdicts_means_and_files() -> None:
    made = plain()
    shown = shown_in_mlflow(made, ["report.html"])
    assert json.loads(json.dumps(shown, allow_nan=False))["files"] == ["report.html"]
    assert shown["tags"]["verdict.norm=none"] == sentence(made, made.arms[2])
    losses = made.arms[3].setting.losses.values()
    assert shown["metrics"]["loss.activation=squaredrelu"] == pytest.approx(sum(losses) / len(losses))
    assert shown["metrics"]["difference.norm=none"] == 0.061 and shown["metrics"]["noise.deviation"] == 0.025
    assert shown["metrics"]["arms.better"] == 1.0
    mean, ours = sum(losses) / len(losses), made.arms[3].setting.losses
    assert shown["best"] == f"activation=squaredrelu/{min(ours, key=lambda seed: abs(ours[seed] - mean))}"
    assert len(shown["table"]["data"]) == 5 and all(
        len(row) == len(shown["table"]["columns"]) for row in shown["table"]["data"]
    )
    steps = [step for step, _ in shown["series"]["val/loss.mean.baseline"]]
    assert steps == list(range(100, 1001, 100))
    assert len({clean_key(name) for name in shown["metrics"]}) == len(shown["metrics"])


def test_where_no_arm_is_better_none_is_the_best() -> None:
    assert shown_in_mlflow(undecided(), [])["best"] == ""
    assert "difference.norm=none" not in shown_in_mlflow(with_failures(), [])["metrics"]
