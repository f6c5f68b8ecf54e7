"""Pictures of graphs: nothing lies upon anything, every text fits, and a notebook shows small ones."""

import re
import shlex
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gptlab import Value
from gptlab.autograd.picture import is_small, picture, values_under
from gptlab.autograd.value import PICTURED, dot
from gptlab.cli import main
from gptlab.drawing.layered import LABEL_HEIGHT, Edge, apart, crossings, lay_out, ordered
from tests.browser import MISSING, running_browser
from tests.repository import ROOT

GRAPHS = st.integers(1, 24).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(20, 200), st.integers(20, 60)), min_size=n, max_size=n),
        st.lists(
            st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.integers(10, 90)).filter(
                lambda edge: edge[0] < edge[1]
            ),
            max_size=3 * n if n > 1 else 0,
        ),
    )
)


def overlap(a, b) -> bool:
    """Of (left, top, right, bottom)."""
    return a[0] < b[2] - 1e-6 and b[0] < a[2] - 1e-6 and a[1] < b[3] - 1e-6 and b[1] < a[3] - 1e-6


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(GRAPHS)
def test_boxes_and_labels_lie_beside_each_other_and_edges_go_right(graph) -> None:
    sizes, rows = graph
    edges = [Edge(*row) for row in rows]
    layout = lay_out(sizes, edges)
    areas = [
        (x, y - height / 2, x + width, y + height / 2)
        for (x, y), (width, height) in zip(layout.boxes, sizes, strict=True)
    ]
    areas += [
        (x - e.label_width / 2, y - LABEL_HEIGHT / 2, x + e.label_width / 2, y + LABEL_HEIGHT / 2)
        for (x, y), e in zip(layout.labels, edges, strict=True)
    ]
    assert not any(overlap(a, b) for a, b in combinations(areas, 2))
    assert all(a[0] >= 0 and a[1] >= 0 and a[2] <= layout.width and a[3] <= layout.height for a in areas)
    for edge, (x, _) in zip(edges, layout.labels, strict=True):
        assert layout.boxes[edge.source][0] + sizes[edge.source][0] < x < layout.boxes[edge.target][0]
    for line in layout.lines:  # level where it is among boxes: bends lie between the columns
        assert line.x <= line.bend + 1e-6 <= line.to_bend + 2e-6 <= line.to_x + 3e-6
        inside = (line.bend, min(line.y, line.to_y), line.to_bend, max(line.y, line.to_y) + 1e-3)
        assert line.bend == line.to_bend or not any(overlap(inside, area) for area in areas)


def test_an_order_without_crossings_is_found() -> None:
    column_of = [0, 0, 0, 1, 1, 1]
    links = [(0, 5), (1, 4), (2, 3)]
    assert crossings([[0, 1, 2], [3, 4, 5]], links) == 3
    assert crossings(ordered(column_of, links), links) == 0


def test_places_are_the_nearest_that_do_not_overlap() -> None:
    assert apart([0.0, 100.0], [10.0, 10.0], [1.0, 1.0]) == [0.0, 100.0]
    close = apart([50.0, 50.0, 50.0], [11.0, 11.0, 11.0], [1.0, 1.0, 1.0])
    assert close == pytest.approx([30.0, 50.0, 70.0])


def shared() -> Value:
    a, b = Value(1.5), Value(-2.25)
    d = a * b
    return (d + a).tanh() * d - d / b


def test_the_picture_has_every_value_and_every_local_gradient() -> None:
    a, b = Value(2.0), Value(-3.0)
    product = a * b
    result = (product + 10.0).relu()
    result.backward()
    svg = picture(result, {a: "a", b: "<b> & co"})
    texts = [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]
    for text in ("a", "<b> & co", "data 2", "grad -3", "data -6", "data 10", "mul", "add", "relu", "data 4"):
        assert text in texts, text
    labels = [
        e.text or e.find("{http://www.w3.org/2000/svg}title").tail  # behind the hint
        for e in ET.fromstring(svg).iter()
        if e.get("class") == "label"
    ]
    assert sorted(labels) == sorted(["-3", "2", "1", "1", "1"])
    assert "script" not in svg and "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_a_value_twice_in_one_op_has_two_edges() -> None:
    a = Value(3.0)
    assert picture(a * a).count('class="label"') == 2


def test_values_under_are_children_first_each_once() -> None:
    root = shared()
    values = values_under(root)
    place = {value: i for i, value in enumerate(values)}
    assert len(place) == len(values) and values[-1] is root
    assert all(place[child] < place[value] for value in values for child in value.children)
    assert is_small(root, len(values)) and not is_small(root, len(values) - 1)


def test_a_notebook_shows_small_graphs_and_not_large_ones() -> None:
    assert Value(1.0)._repr_svg_().startswith("<svg")
    assert shared()._repr_svg_().count('class="op"') == len([v for v in values_under(shared()) if v.children])
    deep = Value(0.0)
    for _ in range(5000):
        deep = deep + 1.0
    assert deep._repr_svg_() is None
    assert dot([Value(1.0)] * 1, [Value(2.0) for _ in range(1)])._repr_svg_() is not None
    many = [Value(float(i)) for i in range(PICTURED)]
    assert dot(many, many)._repr_svg_() is None


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, 1e-300, -0.0, 1.23456789e20])
def test_any_number_is_drawn(number) -> None:
    assert "<svg" in picture(Value(float(number)) * 2.0)


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"no {MISSING}")
def test_in_a_browser_the_texts_fit_their_boxes(tmp_path: Path) -> None:
    leaves = [Value(-1.23456e-5 * (i - 6)) for i in range(13)]
    names = {leaf: f"weight_{i}" for i, leaf in enumerate(leaves)} | {leaves[0]: "W" * 40}
    wide = dot(leaves, leaves[::-1]).tanh() * shared()
    wide.backward()
    file = tmp_path / "wide.svg"
    file.write_text(picture(wide, names), encoding="utf-8")
    with running_browser(tmp_path) as browser:
        browser.open(file.as_uri())
        found = browser.script(
            "return [...document.querySelectorAll('text')].map(t => {"
            " const b = t.getBBox(), r = t.parentNode.querySelector ? "
            " [...(t.parentNode.tagName == 'g' ? t.parentNode.querySelectorAll('rect') : [])] : [];"
            " const inside = r.map(e => e.getBBox()).some(c => b.x >= c.x && b.y >= c.y - 1"
            "  && b.x + b.width <= c.x + c.width && b.y + b.height <= c.y + c.height + 1);"
            " return [t.textContent, r.length > 0, inside, [b.x, b.y, b.x + b.width, b.y + b.height]]})"
        )
        size = [int(n) for n in re.search(r'viewBox="0 0 (\d+) (\d+)"', file.read_text()).groups()]
    assert len(found) > 60
    assert [text for text, in_box, inside, _ in found if in_box and not inside] == []
    areas = [area for *_, area in found]
    assert not any(overlap(a, b) for a, b in combinations(areas, 2))
    assert all(a[0] >= 0 and a[1] >= 0 and a[2] <= size[0] and a[3] <= size[1] for a in areas)


def test_the_picture_in_the_docs_is_what_its_command_draws(tmp_path: Path, monkeypatch) -> None:
    text = (ROOT / "docs/graph.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command = next(line for line in text.splitlines() if line.startswith("python -m gptlab graph expr="))
    assert main(shlex.split(command)[3:]) == 0
    assert (tmp_path / "graph.svg").read_text() == (ROOT / "docs/graph.svg").read_text(), "draw it anew"
