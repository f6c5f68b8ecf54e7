"""`--help model.`: the keys that begin so, with types, defaults, ranges and meanings, and what is told of none."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import gptlab
from gptlab.assembly.optimizing import transformed
from gptlab.cli import main
from gptlab.command.verbs import ROOTS
from gptlab.config.keys import Schema
from gptlab.config.meanings import Meaning, meanings, places, said_in
from gptlab.config.ranges import BOUNDS, bounds_of
from gptlab.config.typed import Chosen, Config, TrainConfig
from gptlab.config.values import check_values
from gptlab.errors import UserError, bounds_in_words
from gptlab.model.gpt import GPT
from gptlab.optim.optimizers import Adam
from gptlab.plugins.loading import load_plugins
from gptlab.plugins.registry import GROUPS, Registry
from gptlab.tracking.ui import check_port
from gptlab.training.generation import Sampling

REGISTRY = load_plugins(discover=False).registry
SIZES = {"nLayer": 1, "nEmbd": 4, "nHead": 1, "headDim": 4, "blockSize": 4}


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments]) == 0
    return capsys.readouterr().out


def test_one_key(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("train.learningRate", "train.learningRate=0.1"):
        out = told(capsys, "--help", word)
        assert "train.learningRate=0.01\n      number, above 0: how far a step goes" in out
        assert out.count("train.") == 1


def test_the_keys_under_a_prefix_and_the_groups_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "--help", "model.")
    assert "model.nEmbd=16\n      whole number, at least 1: the width" in out
    assert "model.dropout=0.0\n      number, at least 0 and below 1: " in out
    assert "model/norm=rmsnorm  what keeps" in out and "one of rmsnorm, layernorm, none" in out
    assert "model.norm.eps=1e-05  (rmsnorm, layernorm)" in out
    assert "train." not in out and all(len(line) <= 112 for line in out.splitlines())


@pytest.mark.parametrize("word", ["model/norm", "model.norm", "model.norm."])
def test_a_group_with_what_each_choice_does(capsys: pytest.CaptureFixture[str], word: str) -> None:
    out = told(capsys, "--help", word)
    assert "rmsnorm\n        x · (mean(x²) + eps)^-½" in out and "model.norm.eps" in out
    assert "model.nEmbd" not in out


def test_keys_of_another_verb_and_the_verb_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert "topK=0\n      whole number, at least 0" in told(capsys, "generate", "--help", "top")
    assert "text=\n      text: what is looked at" in told(capsys, "inspect", "--help", "text")
    assert "file=...\n      text; must be given" in told(capsys, "import", "--help", "file")
    assert told(capsys, "--help", "generate") == told(capsys, "generate", "--help")


def test_a_component_of_a_plugin_is_read_and_its_code_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/mine.py").write_text(
        "import gptlab\nfrom dataclasses import dataclass\nopen('ran', 'w')\n"
        "@dataclass(frozen=True)\nclass Mine:\n"
        '    """A norm.\n\n    strength: how much of it."""\n    strength: float = 0.5\n'
        "@gptlab.hookimpl\ndef gptlab_register_components(register):\n    register('norm', 'mine', Mine)\n"
    )
    assert "model.norm.strength=0.5  (mine)\n      how much of it" in told(capsys, "--help", "model.norm.")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--help", "model.nEmb"], "model.nEmbd"),  # as a beginning
        (
            ["--help", "train.learnignRate"],
            "no key begins with 'train.learnignRate'. Did you mean train.learningRate",
        ),
        (["--help", "lr"], "Did you mean train.learningRate?"),
        (["--help", "qqqq"], "no key begins with 'qqqq'. Known: seed,"),
        (["check", "--help", "model."], "check takes words, not keys."),
    ],
)
def test_what_no_key_begins_with(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    status = main(arguments)
    out, error = capsys.readouterr()
    assert says in out + error
    assert status == (0 if out else 2) and error.count("\n") == (not out)


@pytest.mark.slow
def test_neither_jax_nor_mlflow_nor_hydra_is_loaded(tmp_path: Path) -> None:
    code = (
        "import json, sys; from gptlab.cli import main; main(['--help', 'model.']); main(['--help', 'x.y'])\n"
    )
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "gptlab" in loaded and loaded.isdisjoint(("jax", "mlflow", "hydra", "matplotlib"))


def all_meanings() -> dict[str, list[Meaning]]:
    return {name: meanings(Schema(root, lambda: REGISTRY)) for name, root in ROOTS.items()}


@pytest.mark.slow
def test_every_key_has_a_meaning_and_every_place_too() -> None:
    lacking = {one.key for of_root in all_meanings().values() for one in of_root if not one.meaning}
    assert not lacking
    assert all(place.meaning for place in places(Schema(ROOTS["train"], lambda: REGISTRY)))
    # A component's own first line does for a field of which its docstring says nothing: none of gptlab's needs that.
    described = {entry.description for entry in REGISTRY if entry.kind in GROUPS}
    said = {one.meaning for one in all_meanings()["train"]}
    assert not {text.rstrip(".") for text in described} & {text.rstrip(".") for text in said}


def test_every_own_key_has_a_kind() -> None:
    unsaid = {one.key for of_root in all_meanings().values() for one in of_root if not one.kind}
    assert unsaid <= {"engine.hosts"}, "which is a text or a part"


# Of the keys in BOUNDS those that config.values checks are asked of it below; the rest, of whoever checks them.
def outside(bounds: dict[str, float]) -> list[float]:
    """Numbers just beyond each bound."""
    beyond = []
    for name, bound in bounds.items():
        beyond.append({"at_least": bound - 1, "above": bound, "at_most": bound + 1, "below": bound}[name])
    return beyond


@pytest.mark.parametrize("key", [key for key in BOUNDS if key not in ("candidates", "epsilon")])
def test_what_is_told_of_a_number_is_what_is_refused(key: str) -> None:
    name = key.rpartition(".")[2]
    for value in outside(dict(BOUNDS[key])):
        with pytest.raises(UserError, match=rf"{name} must be {bounds_in_words(**BOUNDS[key])}"):
            if key == "model.dropout":
                GPT.__post_init__(SimpleNamespace(dropout=value))
            elif name in SIZES:
                gptlab.create_model(**{**SIZES, name: value}, vocabSize=3)
            elif key == "optimizer.clip":
                transformed(Adam(), Chosen(name="adam", clip=value), TrainConfig(), {})
            elif key == "port":
                check_port("127.0.0.1", value)
            elif key in ("seed", "samples.n") or key.startswith(
                ("train.", "model.", "checkpoint.", "inspect.", "sweep.")
            ):
                check_values(changed(key, value))
            else:  # samples of a run are drawn by the same class
                Sampling(**{name: value})


def changed(key: str, value: float):
    config = Config(tracking=Chosen(name="none"))
    part, _, name = key.rpartition(".")
    if not part:
        return dataclasses.replace(config, **{name: value})
    return dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **{name: value})})


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["inspect", "text=a", "run=w.json", "candidates={}"], "candidates"),
        (["ablate", "+experiment=tiny", "minus=[norm]", "epsilon={}"], "epsilon"),
    ],
)
def test_what_a_verb_refuses_itself(
    arguments: list[str],
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in outside(dict(BOUNDS[key])):
        *words, last = arguments
        assert main([*words, last.format(value)]) == 2
        assert f"{key} must be {bounds_in_words(**BOUNDS[key])}" in capsys.readouterr().err


def test_bounds_of_a_component_are_those_that_it_refuses() -> None:
    """They are read off its code; here they are tried."""
    tried = 0
    for entry in REGISTRY:
        if entry.kind not in GROUPS:
            continue
        for field, bounds in bounds_of(entry.value).items():
            if not bounds:
                continue
            for value in outside(dict(bounds)):
                given = {"path": "corpus.txt"} if field != "path" and entry.name in ("text", "file") else {}
                with pytest.raises(UserError, match=rf"{field} must be"):
                    entry.value(**{**given, field: value})
                tried += 1
    assert tried > 50


def test_what_a_docstring_says_of_names() -> None:
    doc = "Words.\n\na, b: of two. c: null for\n  none; d: e: no field. other: of no field.\n\nMore a: not of it."
    found = said_in(doc, ["a", "b", "c", "d", "e"])
    assert found == {"a": "of two", "b": "of two", "c": "null for none", "d": "e: no field"}


def test_a_registry_is_not_asked_where_no_component_is() -> None:
    def none() -> Registry:
        raise AssertionError

    @dataclasses.dataclass
    class Root:
        """port: where."""

        port: int = 5000

    assert meanings(Schema(Root, none), "port")[0].default == "5000"
