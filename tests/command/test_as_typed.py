"""What is a text in the schema arrives as it was typed: on the command line, in sweeps, in experiments' files."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gptlab.calling import quoted
from gptlab.command.as_typed import as_typed, unquoted
from gptlab.command.composing import compose, compose_job, prepared, settings_of
from gptlab.command.line import choices_of, parsed, read_command_line
from gptlab.command.verbs import ROOTS
from gptlab.config.keys import Schema, bare
from gptlab.config.schema import plain
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins

# Hydra takes these for numbers, truth values or nothing, and YAML some for dates, octal and sexagesimal numbers.
WORDS = "1.10 010 1e3 0x10 1_000 +1 -0 .5 5. true True FALSE yes on off no NULL Null nan inf -Inf 1:30 2024-01-01 ~"
SIGNS = [
    "it's",
    'say "hi"',
    " a ",
    "a\\b\\",
    "C:\\new\\",
    "f(x)",
    "[a",
    "{a: b}",
    "a: b",
    "#a",
    "100%",
    "é",
    "a=b",
    "(1)",
    "a\tb",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return prepared()


CHOICES = ["data=text"]
PLACES = [*CHOICES, "optimizer=optax"]


def texts_of(plugins: Plugins) -> list[str]:
    """The texts of a training run's config with `PLACES`, those of components included.

    Not those of listeners, which are refused where no listener is named.
    """
    chosen = ("", "text", "word", "xla", "mlflow", "optax")
    leaves = Schema(ROOTS["train"], lambda: plugins.registry).leaves()
    return [
        leaf.key
        for leaf in leaves
        if bare(leaf.hint) is str
        and (not leaf.of or set(leaf.of) & set(chosen))
        and not leaf.key.startswith("listener.")
    ]


def composed(arguments: list[str]) -> dict[str, Any]:
    line = read_command_line(arguments)
    return plain(compose("train", line.flags.overrides))


def at(config: dict[str, Any], key: str) -> Any:
    for name in key.split("."):
        config = config[name]
    return config


def nothing(value: str) -> bool:
    return value.lower() == "null"


def test_there_are_texts_of_gptlab_s_own_and_of_components(plugins: Plugins) -> None:
    keys = texts_of(plugins)
    assert {
        "description",
        "register",
        "initFrom",
        "ops.mul",
        "data.path",
        "tokenizer.path",
        "optimizer.rule",
    } <= set(keys)
    assert "seed" not in keys and "train.freeze" not in keys


@pytest.mark.slow
def test_a_text_arrives_as_typed(plugins: Plugins) -> None:
    """Each value at another key: each key is tried, each value is, and few configs are composed."""
    keys, values = texts_of(plugins), [value for value in [*WORDS.split(), *SIGNS] if not nothing(value)]
    rounds = -(-len(values) // len(keys))
    values += values[: rounds * len(keys) - len(values)]
    for i in range(rounds):
        typed = dict(zip(keys, values[i * len(keys) :], strict=False))
        config = composed([*PLACES, *(f"{key}={value}" for key, value in typed.items())])
        assert {key: at(config, key) for key in keys} == typed


def test_null_is_nothing_where_nothing_may_be_and_else_a_word(plugins: Plugins) -> None:
    config = composed(
        [*PLACES, *(f"{key}=null" for key in ("register", "tokenizer.path", "data.path", "description"))]
    )
    assert config["register"] is None and config["tokenizer"]["path"] is None
    assert config["data"]["path"] == config["description"] == "null"


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", ["1.10", "on", "a, b", "it's", " a ", "null", "choice(1,2)", "[1.10]", "a\\,b"]
)
def test_texts_of_verbs_that_take_one_value_arrive_as_typed(plugins: Plugins, value: str) -> None:
    for verb, keys in {
        "generate": ["run", "prompt"],
        "inspect": ["run", "text", "output"],
        "export": ["run"],
        "graph": ["text", "param", "initFrom"],
    }.items():
        required = ["text=a"] if verb == "inspect" else []
        line = read_command_line([*required, *(f"{key}={value}" for key in keys)], verb)
        config = settings_of(verb, line, plugins)
        for key in keys:
            assert config[key] == (
                None if nothing(value) and key in ("text", "param", "initFrom") and verb == "graph" else value
            )


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0$"), min_size=1))
def test_any_text_survives_hydra_s_grammar(text: str) -> None:
    schema = Schema(ROOTS["generate"], lambda: pytest.fail("no plugin is needed for this"))
    argument = as_typed(f"prompt={text}", schema, single=True)
    # Whole quotes are Hydra's, and may be typed so.
    whole = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    assert whole or parsed(argument).value() == text
    assert (
        parsed(quoted("prompt", text)).value() == text == unquoted(quoted("prompt", text).partition("=")[2])
    )


@pytest.mark.slow
def test_quotes_around_the_whole_are_hydras(plugins: Plugins) -> None:
    assert composed(['description=" a, b"'])["description"] == " a, b"
    assert composed(["register='null'"])["register"] == "null"
    assert composed(["register=null"])["register"] is None


def test_what_is_no_text_is_left_to_hydra(plugins: Plugins) -> None:
    config = composed(["seed=010", "train.learningRate=1e-3", "model.finalNorm=true", "train.numSteps=1_000"])
    assert (config["seed"], config["train"]["learningRate"], config["train"]["numSteps"]) == (10, 1e-3, 1000)
    assert config["model"]["finalNorm"] is True
    assert composed(["description=${seed}", "seed=3"])["description"] == "3"


@pytest.mark.slow
def test_texts_in_lists_and_in_parts(plugins: Plugins) -> None:
    assert composed(["listeners=[on,1.10,true,null]"])["listeners"] == ["on", "1.10", "true", "null"]
    config = composed(["data=text", "data={path: 1.10, valFraction: 0.5}"])
    assert config["data"] == {
        "name": "text",
        "splitSeed": 0,
        "splitTokenizer": None,
        "shuffle": True,
        "valFraction": 0.5,
        "path": "1.10",
        "unit": config["data"]["unit"],
        "field": "text",
    }
    assert composed(["optimizer=optax", "optimizer.keywords={b: 1}"])["optimizer"]["keywords"] == {"b": 1}


def test_hydra_s_own_texts_and_names_of_choices(plugins: Plugins, folder: Path) -> None:
    (folder / "experiments/1.10.yaml").write_text("seed: 9\n")
    prepared()
    line = read_command_line(["hydra.run.dir=1.10", "+hydra.job.env_set.X=010", "+experiment=1.10"])
    config = compose_job(line.flags, line.flags.overrides)
    assert (config.hydra.run.dir, config.hydra.job.env_set.X, config.seed) == ("1.10", "010", 9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("registerAlias=1.10,2.50,True,null", ["1.10", "2.50", "True", "null"]),
        ("register=choice(1.10,010)", ["1.10", "010"]),
        ("register=sort(2.50,1.10)", ["1.10", "2.50"]),
        ("register=choice('1.10',a)", ["1.10", "a"]),
        ("register=tag(log,choice(1.10,2))", ["1.10", "2"]),
        ("ops.mul=1.10,mul", ["1.10", "mul"]),
    ],
)
def test_texts_of_a_sweep(plugins: Plugins, typed: str, values: list[str]) -> None:
    line = read_command_line(["-m", typed])
    swept = line.overrides[-1]
    assert swept.is_sweep_override()
    jobs = [plain_text(plain(compose("train", [job])), typed) for job in choices_of(swept)]
    assert jobs == values


def plain_text(config: dict[str, Any], typed: str) -> Any:
    return at(config, typed.partition("=")[0])


def test_a_comma_is_part_of_prose_and_else_needs_a_word(plugins: Plugins) -> None:
    assert composed(["description=a, b"])["description"] == "a, b"
    with pytest.raises(UserError, match="-m"):
        read_command_line(["register=a,b"])


def test_texts_of_an_experiment_s_file(plugins: Plugins, folder: Path) -> None:
    words = [word for word in WORDS.split() if word != "~" and not nothing(word)]
    keys = [key for key in texts_of(plugins) if key != "optimizer.rule"]
    for i in range(0, len(words), len(keys)):
        typed = dict(zip(keys, (words * 2)[i:], strict=False))
        nested: dict[str, Any] = {}
        for key, word in typed.items():
            *parts, last = key.split(".")
            node = nested
            for part in parts:
                node = node.setdefault(part, {})
            node[last] = f"MARK{word}MARK"
        text = yaml.safe_dump(nested).replace("'MARK", "").replace("MARK'", "").replace("MARK", "")
        listed = ", ".join(words)
        (folder / "experiments/mine.yaml").write_text(
            f"defaults: [override /data: text]\n{text}listeners: [{listed}]\n"
        )
        prepared()
        config = composed(["+experiment=mine"])
        assert {key: at(config, key) for key in keys} == typed
        assert config["listeners"] == words


def test_numbers_of_a_file_are_those_of_the_command_line(folder: Path) -> None:
    (folder / "experiments/mine.yaml").write_text("seed: 010\ntrain: {learningRate: 1e-3, numSteps: 1_000}\n")
    prepared()
    config = composed(["+experiment=mine"])
    assert (config["seed"], config["train"]["learningRate"], config["train"]["numSteps"]) == (10, 1e-3, 1000)


def test_what_a_file_has_a_sweep_go_through(plugins: Plugins, folder: Path) -> None:
    (folder / "experiments/mine.yaml").write_text(
        "hydra: {sweeper: {params: {register: '1.10,2.50', initFrom: 010, seed: '1,2'}}}\n"
    )
    prepared()
    params = compose_job(read_command_line([]).flags, ["+experiment=mine"]).hydra.sweeper.params
    assert OmegaConf.to_container(params) == {"register": '"1.10","2.50"', "initFrom": "010", "seed": "1,2"}


def test_a_run_is_called_by_what_was_typed() -> None:
    from gptlab.sweeps.naming import run_name

    assert run_name(['+experiment="1.10"', 'data.path="2.50"'], in_sweep=False) == "1.10 path=2.50"
