"""A sweep's pictures: what is on which axis, and what stays readable."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gptlab.drawing.picture import Picture
from gptlab.sweeps.by_key import by_key, places
from gptlab.sweeps.by_parameters import best_of_sizes, by_parameters, fit_power_law, law_sentence
from gptlab.sweeps.curves import curves_of_jobs
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.style import number, outliers_above
from gptlab.sweeps.values import swept_values
from tests.sweep_records import failed, rates_and_seeds, record, thousand, with_metrics

SIZES = (1000, 3000, 10_000, 30_000, 100_000, 300_000)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn, before they are pixels."""
    drawn: list[Any] = []

    def keep(figure: Any) -> bytes:
        figure.draw_without_rendering()
        drawn.append(figure)
        return b"png"

    monkeypatch.setattr(Picture, "png", keep)
    return drawn


def draw(jobs: list[JobRecord], key: str, figures: list[Any]) -> Any:
    """The axes of the picture by this key."""
    assert by_key(jobs, key, swept_values(jobs), "tiny", "loss") == b"png"
    return figures[-1].axes[0]


def legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (["1", "2", "4"], "linear"),
        (["1", "10"], "linear"),
        (["1", "11"], "log"),
        (["1e-4", "1e-2"], "log"),
        (["0", "0.001", "0.1"], "symlog"),
        (["-1", "1", "100"], "linear"),
        (["adam", "lion"], "names"),
        (["1", "null"], "names"),
        (["nan", "1"], "names"),
    ],
)
def test_numbers_are_on_their_axis_and_names_are_categories(values: list[str], scale: str) -> None:
    assert places(values).scale == scale


def test_learning_rates_over_decades(figures: list[Any]) -> None:
    axes = draw(rates_and_seeds(), "train.learningRate", figures)
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.001", "0.01", "0.1"], (
        "as they were typed"
    )
    (bars,) = axes.containers
    x, mean = bars.lines[0].get_data()
    assert list(x) == [0.001, 0.01, 0.1]
    assert list(mean) == pytest.approx([2.4, 2.2, 2.61])
    assert "2 failed or diverged" in legend(figures[-1])


def test_names_stand_side_by_side_a_line_a_setting_of_the_rest(figures: list[Any]) -> None:
    jobs = [
        record(i, {"optimizer": o, "model/norm": n, "seed": str(s)}, 2.0 + 0.1 * i)
        for i, (o, n, s) in enumerate(
            (o, n, s) for o in ("adam", "lion") for n in ("a", "$b") for s in range(2)
        )
    ]
    axes = draw(jobs, "optimizer", figures)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["adam", "lion"]
    assert sorted(legend(figures[-1])) == [r"norm=\$b", "norm=a", "the best"]
    shifts = {tuple(bars.lines[0].get_xdata()) for bars in axes.containers}
    assert len(shifts) == 2, "bars of different settings do not cover each other"


def test_many_settings_are_dots_below_their_best(figures: list[Any]) -> None:
    axes = draw(thousand(), "train.learningRate", figures)
    assert not axes.containers
    assert {"their best", "their mean"} <= set(legend(figures[-1]))
    best = next(line for line in axes.lines if line.get_label() == "their best")
    assert len(best.get_xdata()) == 10


def test_one_that_ran_away_does_not_flatten_the_others(figures: list[Any]) -> None:
    jobs = [record(i, {"a": str(i)}, 2.0 + 0.1 * i) for i in range(9)] + [record(9, {"a": "9"}, 400.0)]
    axes = draw(jobs, "a", figures)
    assert axes.get_ylim()[1] < 4
    assert "1 above the frame" in [text.get_text() for text in axes.texts]
    assert outliers_above([2.0, 2.1, 50.0]) == float("inf"), "of three, who can say"


def test_losses_over_decades_are_on_a_log_axis(figures: list[Any]) -> None:
    jobs = [record(i, {"a": str(i)}, 10.0**-i) for i in range(4)]
    assert draw(jobs, "a", figures).get_yscale() == "log"


def test_the_best_twenty_curves_are_in_colour(figures: list[Any]) -> None:
    jobs = [*rates_and_seeds(), *(record(i, {"a": str(i)}, 3.0 + i / 100) for i in range(15, 45))]
    jobs.append(replace(jobs[3], status="FAILED", number=99))
    curves_of_jobs(jobs, "tiny")
    assert len(legend(figures[-1])) == 22
    assert legend(figures[-1])[0].startswith("learningRate=0.01 seed=0")
    assert legend(figures[-1])[-2:] == ["23 more", "3 failed or diverged"]
    for axes in figures[-1].axes:
        faint, of_failed = axes.collections
        assert len(axes.lines) == 21, "twenty, and where the failed ones end"
        assert (len(faint.get_segments()), len(of_failed.get_segments())) == (23, 1)


def test_without_curves_there_is_no_picture() -> None:
    assert curves_of_jobs([failed(0, {}, "nan")], "tiny") == b""
    assert by_key([failed(0, {"a": "1"}, "nan")], "a", {"a": ["1", "2"]}, "tiny", "loss") == b""


def jobs_of_sizes(law: Any, count: int = 6) -> list[JobRecord]:
    return [record(i, {"model.nEmbd": str(i)}, law(n), parameters=n) for i, n in enumerate(SIZES[:count])]


@pytest.mark.parametrize("count", [4, 6])
def test_a_power_law_is_found_again(count: int) -> None:
    fitted = fit_power_law([(n, 30 * n**-0.3) for n in SIZES[:count]])
    assert fitted is not None
    assert (fitted.a, fitted.b, fitted.c) == pytest.approx((30, 0.3, 0))


def test_a_floor_is_found_where_five_sizes_tell_it() -> None:
    points = [(n, 30 * n**-0.5 + 1.9) for n in SIZES]
    fitted = fit_power_law(points)
    assert fitted is not None
    assert (fitted.a, fitted.b, fitted.c) == pytest.approx((30, 0.5, 1.9), rel=1e-3)
    assert "+ 1.9" in fitted.formula and fitted.sizes == 6
    without = fit_power_law(points[:4])
    assert without is not None and without.c == 0.0


def test_noise_alone_makes_no_floor() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, len(SIZES))
    fitted = fit_power_law([(n, 30 * n**-0.3 * float(np.exp(e))) for n, e in zip(SIZES, noise, strict=True)])
    assert fitted is not None
    assert (fitted.c, fitted.b) == (0.0, pytest.approx(0.3, abs=0.05))


def test_no_law_for_three_sizes_or_a_loss_that_rises() -> None:
    assert fit_power_law([(n, 30 * n**-0.3) for n in SIZES[:3]]) is None
    rising = [(n, n**0.1) for n in SIZES]
    assert fit_power_law(rising) is None
    assert "does not fall" in law_sentence(rising, None)
    assert law_sentence(rising[:3], None) == ""


def test_the_law_goes_through_the_best_of_each_size(figures: list[Any]) -> None:
    jobs = jobs_of_sizes(lambda n: 30 * n**-0.5 + 1.9)
    worse = [
        record(10 + i, {**job.overrides, "optimizer": "sgd"}, 9.0, parameters=job.parameters or 0)
        for i, job in enumerate(jobs)
    ]
    best = best_of_sizes([*worse, *jobs], ["model.nEmbd", "optimizer"])
    law = fit_power_law(best)
    assert law is not None and law.c == pytest.approx(1.9, rel=1e-3)
    assert by_parameters([*worse, *jobs], best, law, "tiny", "loss") == b"png"
    (axes,) = figures[-1].axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axes.get_legend().get_texts()][-1].startswith("L = 30")
    assert by_parameters(jobs[:1], best[:1], None, "tiny", "loss") == b""


def test_seeds_of_a_size_are_a_mean() -> None:
    jobs = [record(i, {"model.nEmbd": "8", "seed": str(i)}, 2.0 + i) for i in range(3)]
    assert best_of_sizes(jobs, ["model.nEmbd", "seed"]) == [(4192, pytest.approx(3.0))]


def test_counts_are_short() -> None:
    assert [number(n) for n in (512, 4192, 63_296, 1_200_000)] == ["512", "4.19k", "63.3k", "1.2M"]


def test_the_first_metric_has_a_panel_beside_the_losses(figures: list[Any]) -> None:
    jobs = [
        with_metrics(record(i, {"seed": str(i)}, 2.0 + i), val__accuracy=accuracy)
        for i, accuracy in enumerate((0.01, 1.0))
    ]
    assert curves_of_jobs(jobs, "tiny") == b"png"
    assert [axes.get_title(loc="left") for axes in figures[-1].axes] == [
        "training loss, smoothed",
        "validation loss",
        "validation accuracy",
    ]
    low, high = figures[-1].axes[2].get_ylim()
    assert low < 0.01 and high > 1.0, "more is better: none runs away"
