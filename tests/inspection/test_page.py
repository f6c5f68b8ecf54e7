"""What stands in the page of an inspection. What it looks like: test_page_seen."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gptlab.inspection
from gptlab.inspection.page import (
    LARGEST_MAP,
    PIXELS,
    SCRIPTS,
    numbers,
    packed,
    page,
    pooled,
    steps,
    target_ids,
)
from gptlab.inspection.step_pages import SIDES, SLIDER, STEPS
from tests.inspection.inspections import WORDS, made_inspection

MEGABYTE = 1_000_000


def data_of(html: str) -> Any:
    """The numbers of a page, read as its script reads them."""
    (text,) = re.findall(r'<script type="application/json" id="numbers">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


def unpacked(entry: dict[str, Any]) -> np.ndarray:
    array = np.frombuffer(base64.b64decode(entry["data"]), "<i2")
    return np.where(array == -32768, np.nan, array * entry["scale"])


def test_texts_stay_texts():
    html = page(made_inspection(), 'a "<b>" & {{data}}')
    assert html.count("<h1>a &quot;&lt;b&gt;&quot; &amp; {{data}}</h1>") == 1
    assert html.lower().count("</script>") == 2 == html.count("<script")
    assert data_of(html)["vocabulary"]["4"] == WORDS[4]


def test_it_asks_nobody_for_anything():
    html = page(made_inspection(), "title")
    assert "default-src 'none'" in html
    assert set(re.findall(r"\w+://[^\"'\s]+", html)) == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert not re.search(r"\b(src|href)=\"(?!data:)", html)
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|innerHTML|eval|localStorage)\b", html)


def test_every_script_is_in_it():
    folder = Path(gptlab.inspection.__file__).parent / "static"
    assert {path.name for path in folder.glob("*.js")} == {*SCRIPTS, SLIDER, STEPS, SIDES}


def test_the_numbers_are_those_of_the_inspection():
    inspection = made_inspection()
    data = data_of(page(inspection, "title"))
    assert np.allclose(data["losses"], inspection.losses, rtol=1e-5)
    assert np.allclose(data["hiddenNorms"], inspection.hiddenNorms, rtol=1e-5)
    assert np.allclose(data["gradientNorms"], inspection.gradientNorms, rtol=1e-5)
    assert np.allclose(data["attributions"], inspection.attributions, rtol=1e-5)
    rows, columns = np.tril_indices(len(inspection.tokens))
    shares = unpacked(data["attention"]).reshape(2, 2, -1)
    assert np.abs(shares - inspection.attention[:, :, rows, columns]).max() < 2e-5
    for entry, (name, array) in zip(data["weights"], inspection.weights.items(), strict=True):
        assert entry["name"] == name and entry["shape"] == list(array.shape)
        assert np.abs(unpacked(entry) - array.ravel()).max() <= np.abs(array).max() / 60000
        assert sum(entry["counts"]) == array.size


def test_candidates_and_ranks_are_those_of_the_probabilities():
    inspection = made_inspection()
    data = numbers(inspection)
    ids = [WORDS.index(word) for word in inspection.targets]
    for t, (row, target) in enumerate(zip(inspection.probabilities, ids, strict=True)):
        shown = data["candidates"][t]
        assert [i for i, _ in shown] == sorted(range(len(row)), key=lambda i: -row[i])[:10]
        assert np.allclose([p for _, p in shown], np.sort(row)[::-1][:10], rtol=1e-5)
        assert data["ranks"][t] == 1 + sorted(range(len(row)), key=lambda i: -row[i]).index(target)
    assert data["lens"][-1]["ranks"] == data["ranks"]
    assert data["lens"][-1]["candidates"] == [row[:5] for row in data["candidates"]]
    own = inspection.lens[0][np.arange(len(ids)), ids]
    assert np.allclose(data["lens"][0]["shares"], own, rtol=1e-5)


def test_tokens_that_share_a_spelling_are_told_apart():
    inspection = made_inspection(vocabulary=["�", "�", "�", "a", "BOS"], positions=30)
    chosen = target_ids(inspection)
    own = inspection.probabilities[np.arange(30), chosen]
    assert np.allclose(-np.log(own), inspection.losses)
    assert {0, 1, 2} <= set(chosen)


def test_what_is_not_finite_is_shown_as_such():
    broken = made_inspection()
    losses, weight = broken.losses.copy(), np.array([[np.nan, 1.0], [-np.inf, 2.0]])
    losses[2] = np.inf
    data = data_of(page(made_inspection(losses=losses, weights={"w": weight}), "diverged"))
    assert data["losses"][2] is None and data["loss"] is None
    (entry,) = data["weights"]
    assert np.array_equal(unpacked(entry), [np.nan, 1.0, np.nan, 2.0], equal_nan=True) or np.allclose(
        unpacked(entry), [np.nan, 1.0, np.nan, 2.0], equal_nan=True, atol=1e-4
    )
    assert entry["notFinite"] == 2 and sum(entry["counts"]) == 2


def test_a_model_of_zeros_has_a_page():
    entry = packed(np.zeros((2, 3)))
    assert np.array_equal(unpacked(entry), np.zeros(6))
    page(made_inspection(weights={"w": np.zeros((2, 3)), "one": np.array(0.0)}), "zeros")


def test_a_model_without_attention_has_a_page():
    attention = np.zeros((2, 0, 6, 6))
    data = data_of(page(made_inspection(attention=attention, notes=("not shown",)), "none"))
    assert data["attention"]["heads"] == 0 and data["notes"] == ["not shown"]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (1, 7), (50_257, 768), (3, 100_000)])
def test_large_matrices_become_few_pixels(rows: int, columns: int):
    down, across = steps(rows, columns, 4096)
    assert -(-rows // down) * -(-columns // across) <= 4096
    if rows * columns <= 4096:
        assert down == across == 1


def test_a_pixel_of_several_numbers_is_the_largest_of_them():
    array = np.array([[1.0, -5.0, 2.0], [0.0, 3.0, -1.0], [-7.0, 4.0, 0.5]])
    assert np.array_equal(pooled(array, 2, 2), [[-5.0, 2.0], [-7.0, 0.5]])
    maps = np.arange(2 * 9.0).reshape(2, 3, 3)
    assert np.array_equal(pooled(maps, 3, 1), [[[6, 7, 8]], [[15, 16, 17]]])


def test_the_standard_model_stays_small():
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(596)] + ["BOS"]
    shapes = [(597, 32), (16, 32), (597, 32), *[(32, 32)] * 8, *[(128, 32)] * 4]
    weights = {f"w{i}": rng.normal(size=shape) for i, shape in enumerate(shapes)}
    html = page(made_inspection(2, 4, 16, words, weights=weights, weightGradientNorms={}), "book")
    assert len(html) < MEGABYTE / 2
    assert all(entry["rowStep"] == entry["columnStep"] == 1 for entry in data_of(html)["weights"])


@pytest.mark.slow
def test_large_models_and_long_texts_stay_readable():
    weights = {f"w{i}": np.ones((1500, 700)) for i in range(4)}
    html = page(made_inspection(2, 3, 400, weights=weights, weightGradientNorms={}), "large")
    data = data_of(html)
    assert len(html) < 2.5 * MEGABYTE
    assert data["attention"]["size"] <= LARGEST_MAP and data["attention"]["step"] == 2
    assert sum(entry["rows"] * entry["columns"] for entry in data["weights"]) <= PIXELS
