"""Experiments' files as people write them: each mistake is told with the file, the line and what to write."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.command.experiment_file import line_of, read_experiment
from gptlab.command.verbs import ROOTS
from gptlab.config.experiments import descriptions, experiment_files
from gptlab.config.keys import Schema
from gptlab.errors import UserError
from gptlab.plugins.loading import load_plugins

Read = Callable[[str | bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def schema() -> Schema:
    registry = load_plugins().registry
    return Schema(ROOTS["train"], lambda: registry)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


@pytest.fixture
def read(folder: Path, schema: Schema) -> Read:
    def read(content: str | bytes) -> dict[str, Any]:
        file = folder / "mine.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_experiment(file, schema)

    return read


OVERRIDE = "Write defaults: [override /"
MISTAKES: dict[str, tuple[str | bytes, list[str]]] = {
    "a key twice": ("train:\n  numSteps: 3\n  numSteps: 4\n", ["line 3", "'numSteps' appears twice", "line 2"]),
    "a part twice": ("train: {numSteps: 3}\nseed: 1\ntrain: {}\n", ["line 3", "'train' appears twice", "line 1"]),
    "a group as a key": ("seed: 1\nmodel/norm: layernorm\n", ["line 2", OVERRIDE + "model/norm: layernorm]"]),
    "a group with dots": ("model.norm: layernorm\n", ["line 1", OVERRIDE + "model/norm: layernorm]"]),
    "a group in its part": ("model:\n  norm: layernorm\n", ["line 2", OVERRIDE + "model/norm: layernorm]"]),
    "a group at the root": ("optimizer: sgd\n", ["line 1", OVERRIDE + "optimizer: sgd]"]),
    "a group's name": ("optimizer:\n  name: sgd\n", ["line 2", OVERRIDE + "optimizer: sgd]"]),
    "a group without a choice": ("optimizer:\n", ["line 1", OVERRIDE + "optimizer: NAME]"]),
    "a dotted key": ("seed: 1\nmodel.nEmbd: 32\n", ["line 2", "Write model: {nEmbd: 32}"]),
    "a key with two dots": ("model.norm.eps: 1e-3\n", ["line 1", "Write model: {norm: {eps: 1e-3}}"]),
    "a part without keys": ("seed: 1\nmodel:\n", ["line 2", "model has keys of its own", "nothing"]),
    "a part that is null": ("model: null\n", ["line 1", "model has keys of its own", "nothing"]),
    "a part that is a value": ("train: 3\n", ["line 1", "train has keys of its own", "got 3"]),
    "a part that is a list": ("train: [1]\n", ["line 1", "train has keys of its own", "a list"]),
    "no space after a colon": ("train:\n  numSteps:3\n", ["line 2", "Write numSteps: 3"]),
    "an unknown key": ("lr: 0.1\n", ["line 1", "'lr'", "Write train: {learningRate: 0.1}"]),
    "an unknown key in a part": ("train:\n  numStep: 3\n", ["line 2", "'train.numStep'", "train.numSteps?"]),
    "an unknown key of a component": ("model:\n  norm:\n    epps: 3\n", ["line 3", "model.norm.epps", "norm.eps?"]),
    "a group, by another word": ("norm: layernorm\n", ["line 1", OVERRIDE + "model/norm: layernorm]"]),
    "a truth value as a key": ("on: 3\n", ["line 1", "'on'"]),
    "a number as a key": ("1: 3\n", ["line 1", "'1'"]),
    "a list as a key": ("? [a]\n: 3\n", ["line 1", "a key must be a word"]),
    "nothing": ("", ["is empty", "Write, for example, train: {numSteps: 2000}"]),
    "a comment alone": ("# to do\n", ["is empty"]),
    "a list": ("- a\n", ["line 1", "a list"]),
    "a word": ("hello\n", ["line 1", "a single value"]),
    "a text of nothing": ("description:\n", ["line 1", "description must be text"]),
    "a tab": ("train:\n\tnumSteps: 3\n", ["line 2", "a tab"]),
    "a colon in a value": ("description: a: b\n", ["line 1", "quotes"]),
    "a line too far in": ("model:\n  nEmbd: 32\n   nLayer: 2\n", ["line 3", "differs from that of line 2"]),
    "a line not far enough in": ("model:\n   nEmbd: 32\n  nLayer: 2\n", ["line 3", "differs from that of line 2"]),
    "a first line too far in": ("  seed: 1\nmodel:\n  nEmbd: 3\n", ["line 2", "differs from that of line 1"]),
    "a colon in a value, in a part": ("model: {}\nsamples:\n  n: a: b\n", ["line 3", "quotes"]),
    "a line of a command": ("model.nEmbd=32\n", ["line 1", "colons", "Write model: {nEmbd: 32}"]),
    "lines of a command": ("train.numSteps=3\nseed=1\n", ["line 1", "Write train: {numSteps: 3}"]),
    "a line of a command last": ("seed: 1\nmodel.nEmbd=32\n", ["line 2", "Write model: {nEmbd: 32}"]),
    "a line of a command first": ("model.nEmbd=32\nseed: 1\n", ["line 1", "Write model: {nEmbd: 32}"]),
    "a line of a command in a part": ("train:\n  numSteps=3\n", ["line 2", "Write numSteps: 3"]),
    "a choice as in a command": ("seed: 1\nmodel/norm=none\n", ["line 2", OVERRIDE + "model/norm: none]"]),
    "a key of a part that is there": ("train: {numSteps: 3}\nlr: 0.1\n", ["Under train add learningRate: 0.1"]),
    "a dotted key of such a part": ("model: {nLayer: 1}\nmodel.nEmbd: 3\n", ["line 2", "Under model add nEmbd: 3"]),
    "a choice, beside defaults": (
        "defaults: [tiny]\noptimizer: sgd\n", ["line 2", "Under defaults add the entry override /optimizer: sgd"]
    ),
    "a key of another component": (
        "weight_decay: 0.1\n", [OVERRIDE + "optimizer: adamw] Write optimizer: {weightDecay: 0.1}"]
    ),
    "a key of a component chosen": (
        "defaults: [override /optimizer: adamw]\nweight_decay: 0.1\n", ["line 2", "Write optimizer: {weightDecay: 0.1}"]
    ),
    "two documents": ("seed: 1\n---\nseed: 2\n", ["line 2", "single document"]),
    "a control character": ("seed: \x01\n", ["line 1", "U+0001"]),
    "Latin 1": (b"seed: 1\ndescription: caf\xe9\n", ["line 2", "0xe9", "UTF-8", "iconv"]),
    "UTF-16": ("seed: 1\n".encode("utf-16"), ["line 1", "UTF-8"]),
    "a Python object": ("seed: !!python/object/apply:os.system [ls]\n", ["line 1", "tag"]),
    "itself": ("train: &a\n  numSteps: *a\n", ["line 1", "holds itself"]),
    "defaults in a part": ("model:\n  defaults: [a]\n", ["line 2", "the top of the file"]),
    "defaults as keys": ("defaults:\n  override /optimizer: sgd\n", ["line 2", "a list"]),
    "defaults of nothing": ("defaults:\n", ["line 1", "a list"]),
    "a choice without override": ("defaults:\n  - /optimizer: sgd\n", ["line 2", "Write override /optimizer: sgd"]),
    "a choice without slash": ("defaults:\n  - override optimizer: sgd\n", ["Write override /optimizer: sgd"]),
    "a choice with =": ("defaults:\n  - override /optimizer=sgd\n", ["line 2", "Write override /optimizer: sgd"]),
    "a choice with a dot": ("defaults:\n  - override /model.norm: none\n", ["Write override /model/norm: none"]),
    "an unknown group": ("defaults:\n  - override /model/nrom: none\n", ["line 2", "model/norm?"]),
    "an unknown choice": ("defaults:\n  - override /optimizer: adamm\n", ["line 2", "'adamm'", "adam or adamw"]),
    "an unknown base": ("defaults: [tinny]\n", ["line 1", "'tinny'", "tiny"]),
    "a base with its group": ("defaults:\n  - experiment: tiny\n", ["line 2", "Write tiny"]),
    "two choices in one": ("defaults:\n - override /optimizer: sgd\n   a: b\n", ["line 2", "dash"]),
    "built on itself": ("defaults: [mine]\n", ["line 1", "built on itself"]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_its_line(read: Read, content: str | bytes, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read(content)
    said = str(caught.value)
    assert [word for word in [*words, "experiments/mine.yaml"] if word not in said] == []
    assert "\n" not in said


GOOD = {
    "byte order mark": ("\ufeffseed: 7\n", {"seed": 7}),
    "line ends of Windows": ("seed: 7\r\ntrain:\r\n  numSteps: 3\r\n", {"seed": 7, "train": {"numSteps": 3}}),
    "numbers": ("seed: 010\ntrain: {learningRate: 1e-3}\n", {"seed": 10, "train": {"learningRate": 1e-3}}),
    "anchors": ("train: &a {numSteps: 3}\n", {"train": {"numSteps": 3}}),
    "whatever keys": (
        "defaults: [tiny, _self_, override /optimizer: optax]\noptimizer: {keywords: {a.b: 1}}\n",
        {"defaults": ["tiny", "_self_", {"override /optimizer": "optax"}], "optimizer": {"keywords": {"a.b": 1}}},
    ),
    "of Hydra's": ("hydra: {run: {dir: 1.10}}\n", {"hydra": {"run": {"dir": "1.10"}}}),
}  # fmt: skip


@pytest.mark.parametrize(("content", "wanted"), GOOD.values(), ids=GOOD.keys())
def test_what_is_read(read: Read, content: str, wanted: dict[str, Any]) -> None:
    assert read(content) == wanted


@pytest.mark.parametrize("file", experiment_files().values(), ids=lambda file: file.stem)
def test_the_experiments_that_there_are_can_be_read(schema: Schema, file: Path) -> None:
    assert read_experiment(file, schema)["description"]


def test_what_is_no_file(folder: Path, schema: Schema) -> None:
    (folder / "folder.yaml").mkdir()
    (folder / "link.yaml").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.yaml")
    for name, word in {
        "folder": "a folder",
        "link": "nowhere, which does not exist",
        "pipe": "no regular file",
    }.items():
        with pytest.raises(UserError, match=f"{name}.yaml is .*{word}"):
            read_experiment(experiment_files()[name], schema)
    assert {"folder", "link", "pipe"}.isdisjoint(descriptions())  # and nobody waits for the pipe


def test_yml_is_yaml_and_two_of_one_name_are_refused(folder: Path, schema: Schema) -> None:
    (folder / "short.yml").write_text("seed: 9\n")
    assert read_experiment(experiment_files()["short"], schema) == {"seed": 9}
    (folder / "short.yaml").write_text("seed: 8\n")
    with pytest.raises(UserError, match=r"short\.yaml and experiments/short\.yml"):
        read_experiment(experiment_files()["short"], schema)


@pytest.mark.parametrize("name", ["my own", "v1.10", "1.10", "true"])
def test_names_of_files(folder: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    (folder / f"{name}.yaml").write_text("seed: 9\n")
    assert main(["--cfg", "job", f"+experiment={name}"]) == 0
    assert "seed: 9" in capfd.readouterr().out


@pytest.mark.slow
def test_a_file_that_hides_one_of_gptlab_s_own_says_so_once(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "tiny.yaml").write_text("seed: 9\n")
    (folder / "wider.yaml").write_text("defaults: [tiny]\n")
    assert main(["--cfg", "job", "+experiment=wider"]) == 0
    out, error = capfd.readouterr()
    assert "seed: 9" in out
    assert error.count("\n") == 1 and "+experiment=tiny is experiments/tiny.yaml here" in error
    assert main(["--cfg", "job", "+experiment=book"]) == 0
    assert capfd.readouterr().err == ""


def test_a_value_that_hydra_refuses_is_told_with_its_line(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.yaml").write_text("seed: 1\ntrain:\n  numSteps: many\n")
    assert line_of(folder / "mine.yaml", "train.numSteps") == 3
    assert main(["+experiment=mine", "tracking=none"]) == 2
    assert (
        "train.numSteps must be a whole number: got many (in experiments/mine.yaml, line 3)"
        in capfd.readouterr().err
    )
