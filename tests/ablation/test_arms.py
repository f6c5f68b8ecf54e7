"""What is typed of arms is read as overrides that set them apart; what cannot be meant is told how to be typed."""

from pathlib import Path

import pytest

from gptlab.ablation.arms import (
    Arm,
    arms_of,
    changes_in,
    elements,
    is_bracketed,
    key_of,
    merged,
    without,
)
from gptlab.command.composing import prepared
from gptlab.errors import UserError
from gptlab.plugins.registry import Registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return prepared().registry


@pytest.fixture
def experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the experiments of a folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=1", ["a=1"]),
        ("[a=1]", ["a=1"]),
        (" [ a=1 ,b=2 ] ", ["a=1", "b=2"]),
        ("[a=1, [b=2, c=3]]", ["a=1", "[b=2, c=3]"]),
        ("[[b=2, c=3], a=1]", ["[b=2, c=3]", "a=1"]),
        ("[[a=1],[b=2]]", ["[a=1]", "[b=2]"]),
        ("[a=[1,2], b={c: 1, d: 2}]", ["a=[1,2]", "b={c: 1, d: 2}"]),
        ("[a=range(1,3), b=2]", ["a=range(1,3)", "b=2"]),
        ("""[a='x, [y', b="z]"]""", ["a='x, [y'", 'b="z]"']),
        ("a='[1,2]'", ["a='[1,2]'"]),
        ("log(1,2,3)", ["log(1,2,3)"]),
    ],
)
def test_elements_are_split_at_commas_of_the_outer_brackets_alone(text: str, found: list[str]) -> None:
    assert elements(text, "arms") == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a=1", "']' is missing"),
        ("a=1]", "one ']' too many"),
        ("[a=(1], b=2)]", "too many"),
        ("[a=[1, b=2]", "']' is missing"),
        ("[a='1, b=2]", "''' is missing"),
        ("[a=1,, b=2]", "between its commas"),
        ("[a=1,]", "between its commas"),
        ("[]", "between its commas: got []"),
        ("", "got nothing"),
    ],
)
def test_brackets_and_quotes_have_their_other_half_and_each_element_is_something(
    text: str, said: str
) -> None:
    with pytest.raises(UserError, match=r"^arms must") as error:
        elements(text, "arms")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("[a]", True), ("[a], [b]", False), ("[[a], [b]]", True), ("a[0]", False), ("[", False)],
)
def test_one_pair_of_brackets_holds_all(text: str, is_one: bool) -> None:
    assert is_bracketed(text) is is_one


def test_an_arm_is_an_override_or_a_list_of_them() -> None:
    assert arms_of("[model/norm=layernorm, [train.batchSize=8, train.numSteps=60], +model.x=1]", "arms") == [
        Arm("norm=layernorm", ("model/norm=layernorm",)),
        Arm("batchSize=8 numSteps=60", ("train.batchSize=8", "train.numSteps=60")),
        Arm("x=1", ("+model.x=1",)),
    ]
    assert arms_of("model/norm=layernorm", "arms") == arms_of("[[model/norm=layernorm]]", "arms")
    assert arms_of(" ", "plus") == []


def test_a_list_is_a_value_of_an_arm_and_no_sweep() -> None:
    (arm,) = arms_of("[train.freeze=[a,b]]", "arms")
    assert arm.overrides == ("train.freeze=[a,b]",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[model.nEmbd=16,32]", "type arms='[model.nEmbd=16, model.nEmbd=32]'"),
        ("[[model.nEmbd=16,32]]", "got '32'. Type 32=..."),
        ("model.nEmbd=16,32", "type arms='[model.nEmbd=16, model.nEmbd=32]'"),
        ("[[a=1, model.nEmbd=choice(16,32)]]", "type arms='[model.nEmbd=16, model.nEmbd=32]'"),
        ("[train.learningRate=interval(0.1,1)]", "type arms='[train.learningRate=...]'"),
        ("[tiny]", "each of arms must read key=value: got 'tiny'. Type +experiment=tiny"),
        ("[layernorm]", "Type layernorm=..."),
        ("[experiments/tiny.yaml]", "Type +experiment=tiny"),
    ],
)
def test_an_arm_has_one_value_for_each_key(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        arms_of(text, "arms")
    assert said in str(error.value)


def test_an_experiment_is_what_its_own_file_says_and_not_what_that_is_built_on(experiments: Path) -> None:
    (experiments / "base.yaml").write_text("# @package _global_\nmodel:\n  nEmbd: 64\n")
    (experiments / "wide.yaml").write_text(
        "# @package _global_\n"
        "defaults:\n  - base\n  - override /optimizer: adamw\n  - override /model/norm: layernorm\n  - _self_\n"
        'description: "Is it?"\n'
        "train:\n  learningRate: 0.005\n  freeze: [a, b]\n"
        "optimizer:\n  beta1: 0.8\n  rule: 'a, b'\n"
        "samples:\n  n: null\n"
    )
    (arm,) = arms_of("[+experiment=wide]", "plus")
    assert arm.name == "wide" and arm.overrides == (
        "optimizer=adamw",
        "model/norm=layernorm",
        "train.learningRate=0.005",
        'train.freeze=["a", "b"]',
        "optimizer.beta1=0.8",
        'optimizer.rule="a, b"',
        "samples.n=null",
    )
    (both,) = arms_of("[[+experiment=wide, train.batchSize=2]]", "plus")
    assert both == Arm("wide batchSize=2", (*arm.overrides, "train.batchSize=2"))


def test_an_experiment_that_is_not_there_is_told_with_the_nearest_and_one_that_changes_nothing_is_refused(
    experiments: Path,
) -> None:
    (experiments / "same.yaml").write_text("# @package _global_\ndefaults:\n  - book\n  - _self_\n")
    with pytest.raises(UserError, match=r"no experiment is named 'tinny'\. Did you mean tiny"):
        arms_of("[+experiment=tinny]", "plus")
    with pytest.raises(UserError, match="'same' changes nothing"):
        arms_of("[+experiment=same]", "plus")


def test_nested_values_of_a_file_are_keys_with_dots_and_an_empty_object_is_a_value() -> None:
    assert changes_in({"a": {"b": {"c": 1}, "d": {}}, "defaults": None, "description": "x"}) == [
        "a.b.c=1",
        "a.d={}",
    ]


def test_minus_takes_out_a_part_by_its_kind_or_group(registry: Registry) -> None:
    assert without("[norm, model/position, mlp]", registry) == [
        Arm("without norm", ("model/norm=none",)),
        Arm("without position", ("model/position=none",)),
        Arm("without mlp", ("model/mlp=none",)),
    ]
    assert without("norm", registry) == without("[norm]", registry) and without("", registry) == []


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("nrom", "Did you mean norm"),
        ("model/norm=none", "no part of a model that minus takes out"),
        ("optimizer", "there is no optimizer that does nothing"),
        ("data", "there is no dataset that does nothing"),
    ],
)
def test_minus_of_what_cannot_be_left_out_names_what_can(registry: Registry, part: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        without(f"[{part}]", registry)
    assert said in str(error.value)
    assert "norm" in str(error.value) and "position" in str(error.value)


def test_a_later_override_of_a_key_stands_in_the_place_of_an_earlier_one() -> None:
    assert [key_of(text) for text in ("a.b=1", "+a.b=1", "++a.b=1=2", "~a.b")] == ["a.b"] * 4
    assert merged(["a=1", "b=2"], [], ["c=3", "+a=4"]) == ["+a=4", "b=2", "c=3"]
