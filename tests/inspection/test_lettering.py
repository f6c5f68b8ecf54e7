"""Texts of a picture as one shape: each where it belongs, turned around its end, and none that shows nothing."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from matplotlib.transforms import IdentityTransform

from gptlab.inspection.pictures import POINT, SIZE, attention_figure, ending_at_zero, labels, lettering

TOKENS = ["BOS", "the", "$a $b", " ", "q", "\n"]


def box(path: Outline) -> np.ndarray:
    return np.asarray(path.get_extents().get_points())


def test_a_text_ends_at_its_place_with_the_middle_of_small_letters_there() -> None:
    (left, bottom), (right, top) = box(lettering(["xx"], [(3.0, 2.0, 0.0)], IdentityTransform()).get_path())
    assert right == pytest.approx(3.0, abs=0.1 * SIZE * POINT)
    assert SIZE * POINT < right - left < 2 * SIZE * POINT
    assert (bottom + top) / 2 == pytest.approx(2.0, abs=0.05 * SIZE * POINT)


def test_a_turned_text_reads_upwards_to_its_place() -> None:
    flat, turned = (
        box(lettering(["cat"], [(0.0, 0.0, degrees)], IdentityTransform()).get_path()) for degrees in (0, 90)
    )
    (left, bottom), (right, top) = flat
    np.testing.assert_allclose(turned, [[-top, left], [-bottom, right]], atol=1e-9)


def test_dollars_are_no_formula_and_what_shows_nothing_is_left_out() -> None:
    # A formula would have lost both signs.
    one, other = (len(ending_at_zero(text).vertices) for text in ("$", "a"))
    assert len(ending_at_zero("$a$").vertices) == 2 * one + other
    places = [(float(i), 0.0, 0.0) for i in range(3)]
    with_blank = lettering(["a", " ", "a"], places, IdentityTransform()).get_path()
    without = lettering(["a", "a"], [places[0], places[2]], IdentityTransform()).get_path()
    np.testing.assert_array_equal(with_blank.vertices, without.vertices)
    assert not len(lettering([" "], places[:1], IdentityTransform()).get_path().vertices)


def test_every_position_of_a_picture_is_labelled_once_a_row_and_once_a_head() -> None:
    figure = attention_figure(np.zeros((2, 3, 6, 6)), TOKENS, "title", [0, 1], [0, 1, 2])
    (shape,) = figure.artists
    drawn = sum(len(ending_at_zero(name).vertices) for name in labels(TOKENS))
    assert len(shape.get_path().vertices) == (2 + 3) * drawn
    (left, bottom), (right, top) = box(shape.get_path())
    width, height = figure.get_size_inches()
    assert 0 <= left < right <= width and 0 <= bottom < top <= height
    assert figure.png().startswith(b"\x89PNG")


def test_labels_are_short_and_can_be_seen() -> None:
    assert labels(["the", "a\tb\n", "x" * 20]) == ["the", "a·b·", "x" * 11 + "…"]
