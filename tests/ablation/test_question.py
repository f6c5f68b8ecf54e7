"""What an ablation is asked is read from what is typed; what cannot be meant is refused before anything is trained."""

from typing import Any

import pytest

from gptlab.ablation.question import (
    MOST_SETTINGS,
    Question,
    is_own,
    question_of,
    settings_in,
    sizes_in,
)
from gptlab.command.composing import prepared
from gptlab.config.duration import seconds_in
from gptlab.config.schema import AblateConfig
from gptlab.errors import UserError
from gptlab.plugins.registry import Registry

ARMS = "[model/norm=layernorm, model/activation=gelu]"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return prepared().registry


def asked(registry: Registry, *overrides: str, **settings: Any) -> Question:
    return question_of(AblateConfig(**settings), overrides, registry)


def test_the_baseline_is_what_is_typed_less_what_is_the_verb_s(registry: Registry) -> None:
    typed = (
        *("+experiment=tiny", f"arms={ARMS}", "++train.numSteps=3", "~samples.n", "seed=4", "seeds=3"),
        *("hydra/launcher=joblib", "hydra.sweep.dir=x", "sweep.resume=latest", "again=true", "model.nEmbd=8"),
    )
    question = asked(registry, *typed, arms=ARMS, seed=4, seeds=3, again=True)
    assert question.base == ("+experiment=tiny", "++train.numSteps=3", "~samples.n", "model.nEmbd=8")
    assert [arm.name for arm in question.arms] == ["norm=layernorm", "activation=gelu"]
    assert question.seeds == (4, 5, 6) and question.again and not question.tunes
    assert question.settings == question.sizes == ((),) and question.budget is None
    # A key that only begins like one of the verb's is the run's.
    assert not is_own("model.seed=1") and not is_own("data.sizes=1") and is_own("tune=a=1")


def test_arms_come_from_arms_minus_and_plus_in_this_order(registry: Registry) -> None:
    question = asked(registry, arms="[a=1]", minus="[norm, mlp]", plus="b=2")
    assert [arm.name for arm in question.arms] == ["a=1", "without norm", "without mlp", "b=2"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arms": ""}, "compares arms with the baseline: got none"),
        ({"arms": "[a=1, b=2, a=1]"}, "each arm must be named once: got 'a=1' twice"),
        ({"minus": "[norm, model/norm]"}, "got 'without norm' twice"),
        ({"seeds": 1}, "seeds must be 2 to 1,000, and at least 6 to tell a difference from luck: got 1"),
        ({"seeds": 1001}, "seeds must be 2 to 1,000"),
        ({"seeds": -1}, "Try seeds=12"),
        (
            {"match": "flops", "arms": "[train.numSteps=9]"},
            "match=flops sets train.numSteps, and so does the arm",
        ),
        ({"match": "params", "arms": "[[x=1, model.nEmbd=8]]"}, "match=params sets model.nEmbd"),
        ({"match": "flop"}, "match must be one of steps, params, flops, seconds: got flop"),
        ({"epsilon": 0.0}, "epsilon must be above 0 nats: got 0.0"),
        ({"epsilon": -0.1}, "epsilon must be above 0"),
        ({"budget": "2 days"}, "budget must be a time such as 90s, 2m or 1h: got 2 days"),
        ({"minus": "[nrom]"}, "Did you mean norm"),
        ({"plus": "[+experiment=tinny]"}, "Did you mean tiny"),
        ({"sizes": "model.nEmbd=16"}, "two sizes or more"),
        ({"tune": "train.learningRate"}, "tune takes a key and its values"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(registry: Registry, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        asked(registry, **{"arms": "[x=1]", **settings})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=log(0.001,0.1,3)", ["a=0.001", "a=0.01", "a=0.1"]),
        ("a=log(0.005, 0.02, 3)", ["a=0.005", "a=0.01", "a=0.02"]),
        ("a=linear(0.5,0.9,3)", ["a=0.5", "a=0.7", "a=0.9"]),
        ("a=linear(-1,1,3)", ["a=-1", "a=0", "a=1"]),
        ("a=1e-3,0.01", ["a=1e-3", "a=0.01"]),
        ("[a=linear,cosine]", ["a=linear", "a=cosine"]),
        ("a=1,2,1", ["a=1", "a=2"]),
    ],
)
def test_a_grid_is_its_values(text: str, values: list[str]) -> None:
    assert settings_in(text) == tuple((value,) for value in values)


def test_of_several_keys_each_value_is_tried_with_each() -> None:
    found = settings_in("[train.learningRate=log(0.001,0.01,2), optimizer.beta2=0.9,0.99]")
    rate, beta = "train.learningRate", "optimizer.beta2"
    assert found == tuple((f"{rate}={r}", f"{beta}={b}") for r in ("0.001", "0.01") for b in ("0.9", "0.99"))


@pytest.mark.parametrize(
    "text",
    [
        *("a=log(0,1,3)", "a=log(-1,1,3)", "a=log(1,0.1,3)", "a=linear(1,1,3)", "a=log(0.1,1,1)"),
        *("a=log(0.1,1)", "a=log(0.1,1,3,4)", "a=log(x,1,3)", "a=log(0.1,1,2.5)", "a=exp(0.1,1,3)"),
        *("a=log(nan,1,3)", f"a=log(0.1,1,{MOST_SETTINGS + 1})", "a=log(0.1,1,3", "a=log(0.1,inf,3)"),
    ],
)
def test_a_grid_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError) as error:
        settings_in(text)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=0.1", "between two values or more"),
        ("a=1,1", "between two values or more"),
        ("=1,2", "a key and its values"),
        ("[a=log(1,2,15), b=log(1,2,15)]", "got 225 settings, at most 200"),
    ],
)
def test_tune_chooses_between_a_number_of_values(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        settings_in(text)
    assert said in str(error.value)


def test_sizes_are_values_of_a_key_or_a_list_of_sizes() -> None:
    assert sizes_in("model.nEmbd=16,32") == (("model.nEmbd=16",), ("model.nEmbd=32",))
    assert sizes_in(" [model.nEmbd=16, [model.nEmbd=32, model.nLayer=2]] ") == (
        ("model.nEmbd=16",),
        ("model.nEmbd=32", "model.nLayer=2"),
    )
    assert sizes_in("a=1,2,1") == (("a=1",), ("a=2",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model.nEmbd=16,16", "two sizes or more"),
        ("[model.nEmbd=16]", "two sizes or more"),
        ("[16, 32]", "must read key=value"),
        ("16,32", "must read key=value"),
        ("[model.nEmbd=16, [model.nLayer=1", "is missing"),
    ],
)
def test_sizes_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        sizes_in(text)
    assert said in str(error.value) and "sizes" in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("2m", 120), (" 0.5 h", 1800), ("1.5m", 90)],
)
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert seconds_in("budget", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "1.2.3s", "2 days", "m", "1e3", "."])
def test_a_budget_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="budget must be a time"):
        seconds_in("budget", text)
