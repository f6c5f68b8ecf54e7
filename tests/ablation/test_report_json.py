"""ablation.json, and that only what gptlab wrote is read from it."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gptlab.ablation.report.as_json import JSON, as_json, from_json, json_text, read_ablation
from gptlab.ablation.result import Ablation
from gptlab.errors import UserError
from tests.ablation_results import EXAMPLES, plain, tuned, with_failures

ARM = {"name", "overrides", "seeds", "difference", "low", "high", "p", "verdict", "needs", "costs", "speedup"}


def strictly(text: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("name", EXAMPLES)
def test_read_again_it_is_the_same(name: str, tmp_path: Path) -> None:
    made = EXAMPLES[name]()
    text = json_text(made)
    assert "\n" not in text
    (tmp_path / JSON).write_text(text, encoding="utf-8")
    assert read_ablation(tmp_path) == made
    assert from_json(strictly(text)) == made


def test_the_object_has_the_keys_that_scripts_read() -> None:
    told = as_json(plain())
    assert {"baseline", "noise", "arms"} <= told.keys()
    assert {"deviation", "detectable", "seeds"} <= told["noise"].keys()
    assert all(
        arm.keys() >= ARM and {"parameters", "flops", "seconds"} <= arm["costs"].keys()
        for arm in told["arms"]
    )
    squared = told["arms"][3]
    assert (squared["name"], squared["verdict"], squared["difference"]) == (
        "activation=squaredrelu",
        "better",
        -0.021,
    )
    assert squared["speedup"] == {"steps": 1.43, "flops": 1.43 * 0.98, "seconds": 1.21}
    assert told["arms"][0]["speedup"] is None
    assert told["arms"][1]["needs"] == 14


def test_without_curves_it_is_shorter_and_else_the_same() -> None:
    short, long = as_json(plain(), curves=False), as_json(plain())
    assert all(run["curve"] == [] for run in short["baseline"]["runs"])
    assert len(json.dumps(short)) < len(json.dumps(long)) / 2
    assert {key: short[key] for key in ARM & short.keys()} == {key: long[key] for key in ARM & long.keys()}


def test_what_is_no_number_is_null_and_read_as_none() -> None:
    made = plain()
    costs = replace(made.baseline.costs, flops=math.nan)
    runs = [replace(made.baseline.runs[0], curve=[(1, math.inf), (2, 3.0)]), *made.baseline.runs[1:]]
    told = strictly(json_text(replace(made, baseline=replace(made.baseline, costs=costs, runs=runs))))
    assert told["baseline"]["costs"]["flops"] is None
    again = from_json(told)
    assert math.isnan(again.baseline.costs.flops) and again.baseline.runs[0].curve == [(2, 3.0)]


def test_what_a_later_gptlab_adds_is_passed_over() -> None:
    told = {**as_json(plain()), "more": 1}
    told["arms"][0]["more"] = [1]
    assert from_json(json.loads(json.dumps(told))) == plain()


def changed(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(told: Any) -> None:
        for key in path[:-1]:
            told = told[key]
        told[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (changed("arms", to={}), "arms a list"),
        (changed("arms", 0, to=1), "an arm must be an object"),
        (changed("arms", 0, "verdict", to="best"), "comparison.verdict must be better or worse"),
        (changed("arms", 0, "verdict", to=["better"]), "comparison.verdict must be"),
        (changed("arms", 0, "difference", to="-1"), "comparison.difference must be a finite number"),
        (changed("arms", 0, "seeds", to=True), "comparison.seeds must be neither true nor false"),
        (changed("arms", 0, "costs", "parameters", to=10**30), "parameters must be a whole number"),
        (changed("arms", 0, "costs", "flops", to=10**400), "flops must be a number of a usual size"),
        (changed("arms", 0, "runs", 0, "curve", to=[[1, 2, 3]]), "curve[0] must be 2 values"),
        (
            changed("arms", 0, "tuned", to={"a": 1}),
            "a value of ablation.arms[0].setting.tuned must be a text",
        ),
        (changed("arms", 0, "sizes", to=[1]), "sizes[0] must be an object"),
        (changed("baseline", to=None), "baseline must be an object"),
        (changed("baseline", "runs", to={}), "baseline.runs must be a list"),
        (changed("noise", "deviation", to="0"), "noise.deviation must be a finite number"),
        (changed("question", to=3), "question must be a text"),
        (lambda told: told.pop("command"), "ablation.command is missing"),
    ],
)
def test_a_damaged_file_is_refused_in_a_line(
    change: Callable[[Any], None], place: str, tmp_path: Path
) -> None:
    told = json.loads(json_text(with_failures()))
    change(told)
    (tmp_path / JSON).write_text(json.dumps(told))
    with pytest.raises(UserError) as refusal:
        read_ablation(tmp_path)
    assert place in str(refusal.value) and "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"baseline": NaN, "arms": []}', b"null"],
)
def test_what_is_no_ablation_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / JSON).write_bytes(content)
    with pytest.raises(UserError, match=JSON):
        read_ablation(tmp_path)


def test_a_missing_file_a_folder_and_one_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no"):
        read_ablation(tmp_path)
    with (tmp_path / JSON).open("wb") as file:
        file.truncate(1 << 30)  # takes no room
    with pytest.raises(UserError, match="larger than"):
        read_ablation(tmp_path)
    (tmp_path / JSON).unlink()
    (tmp_path / JSON).mkdir()
    with pytest.raises(UserError, match="must be JSON"):
        read_ablation(tmp_path)


def test_the_choice_of_a_rate_is_kept() -> None:
    again: Ablation = from_json(as_json(tuned()))
    muon = again.arms[1].tuning
    assert muon is not None and muon.points[4] == ({"train.learningRate": "0.03"}, None)
    assert again.baselineTuning == tuned().baselineTuning
