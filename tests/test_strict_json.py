"""JSON that every reader takes, and numbers that JSON has no form for."""

import ast
import json
import math
import random
from pathlib import Path

import pytest

from gptlab import strict_json
from gptlab.files import read_json, write_json
from gptlab.runs.checkpoint.folder import state_as_bytes
from gptlab.training.metric_rows import line_of, rows_in
from tests.repository import ROOT

ODD = [math.nan, math.inf, -math.inf]
each_odd = pytest.mark.parametrize("value", [*ODD, -0.0, 1e308, 5e-324, random.Random(0).random()], ids=str)


def strictly(text: str):
    """As a reader takes it that knows nothing but the standard."""

    def refuse(name: str):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def same(one: float, other: float) -> bool:
    return (
        math.isnan(one)
        if math.isnan(other)
        else (one, math.copysign(1, one)) == (other, math.copysign(1, other))
    )


@each_odd
def test_a_row_is_json_and_comes_back_exactly(tmp_path, value):
    path = tmp_path / "metrics.jsonl"
    lines = line_of(3, {"train/loss": 2.5}) + line_of(4, {"train/loss": value, "val/loss": 1.0})
    path.write_text(lines)
    assert [strictly(line)["step"] for line in lines.splitlines()] == [3, 4]
    (first, (step, row)) = rows_in(path)
    assert first == (3, {"train/loss": 2.5}) and step == 4
    assert same(row["train/loss"], value) and row["val/loss"] == 1.0


def test_rows_of_an_earlier_gptlab_are_read_and_what_is_no_row_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "train/loss": NaN}\n[1]\n\nnull\n{"step": 2, "train/loss": "x"}\n{"train/loss": 1}\n'
        '{"step": 3, "train/loss": -Infinity}\n{"step": 4, "tr'
    )
    (first, second) = rows_in(path)
    assert (first[0], second) == (1, (3, {"train/loss": -math.inf})) and math.isnan(first[1]["train/loss"])
    assert rows_in(tmp_path / "none") == []


@each_odd
def test_any_file_is_json_and_a_text_that_looks_like_a_number_stays_one(tmp_path, value):
    content = {"config": {"clip": value, "all": [value, {"deep": (value,)}]}, "words": ["NaN", "Infinity"]}
    write_json(tmp_path / "a.json", content)
    for text in ((tmp_path / "a.json").read_text(), state_as_bytes(content).decode()):
        strictly(text)
        found = strict_json.loads(text)
        numbers = [found["config"]["clip"], found["config"]["all"][0], found["config"]["all"][1]["deep"][0]]
        assert all(same(number, value) for number in numbers) and found["words"] == content["words"]
    assert str(read_json(tmp_path / "a.json")) == str(found)
    if math.isfinite(value):
        assert strict_json.dumps(content) == json.dumps(content)


def test_what_json_cannot_hold_is_an_error_as_ever():
    for content in ([object(), math.nan], object()):
        with pytest.raises(TypeError):
            strict_json.dumps(content)
    assert strict_json.dumps([math.nan, Path("x")], default=str) == '[{"float": "NaN"}, "x"]'


@pytest.mark.slow
def test_no_line_of_the_project_writes_json_that_is_none():
    files = [path for room in ("gptlab", "plugins", "benchmarks") for path in (ROOT / room).rglob("*.py")]
    wrong, calls = [], 0
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dump", "json.dumps"):
                calls += 1
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if given.get("allow_nan") != "False":
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            elif isinstance(node, ast.ImportFrom) and node.module == "json":
                wrong.append(
                    f"{path.relative_to(ROOT)}:{node.lineno}: import json as a whole, for this test to see"
                )
    assert wrong == [] and calls >= 4
