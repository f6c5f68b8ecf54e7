"""The picture of a run: which curves are in which panel, what they are called, and that no label lies on another."""

import math
from itertools import combinations

import pytest

from gptlab.drawing.colors import OTHERS, TRAIN, VALIDATION
from gptlab.training.figures import loss_figure

STEPS = range(10, 101, 10)


def curve(value, slope=0.0):
    return [(step, value + slope * step) for step in STEPS]


def history(**more):
    """A run that learns by heart: its validation loss rises to 9 while its training loss falls from 4 to 0."""
    named = {name.replace("__", "/"): points for name, points in more.items()}
    trained = {"train/loss": curve(4.0, -0.04), "train/smoothedLoss": curve(4.1, -0.04)}
    return {**trained, "val/loss": curve(4.0, 0.05), **named}


def labels(axes):
    return [text.get_text() for text in axes.texts]


def drawn(axes):
    """Colour and last value of each curve over steps."""
    return {
        (line.get_color(), round(float(line.get_ydata()[-1]), 6))
        for line in axes.lines
        if len(line.get_xdata()) > 2
    }


def test_without_metrics_there_is_the_loss_alone_under_the_runs_name():
    (axes,) = loss_figure(history(), {}, "a $title_").axes
    assert axes.get_title(loc="left") == "a $title_" and axes.get_ylabel() == "loss (nats a token)"
    assert sorted(labels(axes)) == ["training, smoothed  0.100", "validation  9.000"]


def test_a_metric_has_a_panel_beside_the_loss_with_every_set_of_documents():
    of_longer = {"longer__loss": curve(6.0), "longer__accuracy": curve(0.25)}
    found = history(val__accuracy=curve(0.5), train__accuracy=curve(1.0), **of_longer)
    figure = loss_figure(found, {}, "name")
    losses, accuracy = figure.axes
    assert [text.get_text() for text in figure.texts] == ["name"]
    assert (losses.get_title(loc="left"), accuracy.get_title(loc="left")) == ("loss", "accuracy")
    assert sorted(labels(losses)) == ["longer  6.000", "training, smoothed  0.100", "validation  9.000"]
    assert sorted(labels(accuracy)) == ["longer  0.250", "training  1.000", "validation  0.500"]
    assert drawn(accuracy) == {(VALIDATION, 0.5), (TRAIN, 1.0), (OTHERS[0], 0.25)}
    assert (OTHERS[0], 6.0) in drawn(losses)
    assert losses.get_position().x1 < accuracy.get_position().x0, "beside it"


def test_what_no_metric_is_has_no_panel():
    others = {"val__perplexity": curve(50.0), "train__gradNorm": curve(1.0), "norms__length": curve(2.0)}
    assert len(loss_figure(history(**others), {}, "name").axes) == 1


def test_a_listeners_loss_is_not_that_of_held_out_documents():
    found = history(probe__loss=curve(3.0))
    assert "probe  3.000" in labels(loss_figure(found, {}, "name").axes[0])
    assert "probe  3.000" not in labels(loss_figure(found, {}, "name", ["probe"]).axes[0])


def test_slices_have_panels_of_their_own():
    names = ["rare", "frequent"]
    found = history(**{f"val__lossByFrequency__{name}": curve(i + 1.0) for i, name in enumerate(names)})
    found["val/accuracy/length/1-4"] = curve(0.5)
    _, rare, length = loss_figure(found, {}, "name").axes
    assert (
        rare.get_title(loc="left") == "lossByFrequency"
        and length.get_title(loc="left") == "accuracy by length"
    )
    assert sorted(labels(rare)) == ["frequent  2.000", "rare  1.000"] and labels(length) == ["1-4  0.500"]


BASELINES = {"uniform": math.log(59), "unigram": 4.05, "bigram": 0.12, "floor": 0.0}


@pytest.mark.parametrize("count", [0, 3, 12], ids=["loss alone", "three sets", "many slices"])
def test_labels_and_lines_to_hold_a_loss_against(count):
    facts = {f"baseline/{name}": loss for name, loss in BASELINES.items()} | {"unigramEntropy": 3.0}
    more = {f"val__accuracy__length__{i}": curve(0.5 + i / 1000) for i in range(count)}
    more |= {f"set{i}__loss": curve(0.1 + i / 1000) for i in range(min(3, count))}
    figure = loss_figure(history(**more), facts, "name")
    figure.canvas.draw()
    losses = figure.axes[0]
    assert {"uniform  4.078", "unigram  4.050", "bigram  0.120", "floor  0.000"} <= {*labels(losses)}
    assert not any("entropy" in label for label in labels(losses)), (
        "that of the whole text, not of what counts"
    )
    across = {line.get_ydata()[0] for line in losses.lines if line.get_linestyle() == "--"}
    assert across == {*BASELINES.values()}
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        assert all(box.x1 <= figure.bbox.x1 and box.x0 >= axes.bbox.x1 for box in boxes), "right of the axes"


def test_the_entropies_of_a_text_are_lines_too():
    facts = {"entropyPerWord": 1.9, "unigramEntropy": 3.0, "heldOutUnigram": 3.1}
    (axes,) = loss_figure(history(), facts, "name").axes
    assert {"entropy of the data  1.900", "unigram entropy  3.000"} < {*labels(axes)}


def test_a_line_far_above_all_curves_is_told_and_does_not_flatten_them():
    found = {"train/loss": curve(1.0), "val/loss": curve(1.1)}
    (axes,) = loss_figure(found, {"baseline/uniform": 1.3, "baseline/worse": 10.0}, "name").axes
    assert 1.3 < axes.get_ylim()[1] < 2 and "worse  10.000 ↑" in labels(axes)


@pytest.mark.parametrize(("loss", "top"), [(9.0, 10.0), (1e6, 20.0)], ids=["higher", "far away"])
def test_a_held_out_loss_that_rises_is_in_the_picture_and_no_tower(loss, top):
    """As in grokking; and as on longer texts than the model has seen."""
    found = {"train/loss": curve(4.0, -0.03), "val/loss": curve(1.0), "longer/loss": curve(loss)}
    (axes,) = loss_figure(found, {}, "name").axes
    assert min(loss, 14.0) < axes.get_ylim()[1] < top


def test_all_panels_show_the_same_steps_and_shares_go_up_to_one():
    figure = loss_figure(
        history(val__accuracy=[(50, 0.2), (100, 0.9)], val__top=[(50, 0.0), (100, 0.0)]), {}, "name"
    )
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    _, accuracy, top = figure.axes
    assert accuracy.get_ylim()[1] == pytest.approx(1.02) and accuracy.get_ylim()[0] < 0
    assert top.get_ylim()[0] < 0 < top.get_ylim()[1]


def test_a_gap_is_left_where_a_value_is_no_number():
    found = history(val__accuracy=[(10, math.nan), (20, 0.5)], val__top=[(10, math.inf)])
    figure = loss_figure(found, {}, "name")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy"]
    assert figure.png().startswith(b"\x89PNG")
