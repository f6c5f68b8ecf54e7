"""Every experiment: what it asks, that gptlab's own hold deltas only, and that each runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from gptlab.assembly.architecture import Architecture
from gptlab.cli import main
from gptlab.command.composing import compose, prepared
from gptlab.config.experiments import folder_of
from gptlab.config.schema import plain
from gptlab.config.typed import ModelConfig, typed
from gptlab.plugins.discovery import brought_folders
from gptlab.plugins.loading import Plugins

FILES = sorted(folder_of("experiments").glob("*.yaml"))
BROUGHT = sorted(file for folder in brought_folders("experiments") for file in folder.glob("*.yaml"))


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return prepared()


def composed(plugins: Plugins, *overrides: str) -> dict[str, Any]:
    return plain(compose("train", list(overrides)))


@pytest.mark.parametrize("file", FILES + BROUGHT, ids=lambda file: file.stem)
def test_says_what_it_asks(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    comment = " ".join(line.removeprefix("#") for line in lines[1:] if line.startswith("#"))
    assert "?" in comment, "the comment at the top is the question that the experiment answers"
    assert len(yaml.safe_load(file.read_text())["description"]) > 20


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_holds_only_what_differs_from_the_defaults(plugins: Plugins, file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    choices = {
        key.removeprefix("override /"): value
        for item in content.pop("defaults", [])
        if item != "_self_"
        for key, value in item.items()
    }
    without = composed(plugins)
    # A key of a component differs from the default of the component that the file itself selects.
    needed = ["data.path=none"] if choices.get("data") == "text" else []
    base = OmegaConf.create(
        composed(plugins, *(f"{group}={name}" for group, name in choices.items()), *needed)
    )
    same = [f"{key}={value}" for key, value in leaves(content) if OmegaConf.select(base, key) == value]
    same += [
        f"{group}={name}"
        for group, name in choices.items()
        if OmegaConf.select(OmegaConf.create(without), group.replace("/", ".")).name == name
    ]
    assert same == []


def leaves(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# Those whose swapped ops take long to compile.
LONG = ("logmul", "logmulst", "fixedpoint", "muon", "moe", "gentle", "forgetting")


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [pytest.param(f, marks=pytest.mark.slow) if f.stem in LONG else f for f in FILES + BROUGHT],
    ids=lambda file: file.stem,
)
def test_takes_two_steps(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # One sample and few documents held out: the scalar engine goes through them number by number.
    few = ["train.numSteps=2", "samples.n=1", "tracking=none"]
    if yaml.safe_load(file.read_text()).get("initFrom"):
        assert main(["+experiment=tiny", "progress=none", "hydra.run.dir=source", *few]) == 0
        few += ["initFrom=source"]
    else:
        few += ["data.valFraction=0.001"]
    assert main([f"+experiment={file.stem}", *few]) == 0
    out, error = capfd.readouterr()
    assert error == "" and f"{file.stem} numSteps=2" in out
    assert list(tmp_path.glob("runs/*/*/checkpoints/step-000002/weights.safetensors"))


@pytest.mark.parametrize(
    ("experiment", "vocabSize", "count"), [("book", 597, 63_296), ("names", 27, 4_192)], ids=["book", "names"]
)
def test_parameter_count(plugins: Plugins, experiment: str, vocabSize: int, count: int) -> None:
    config = composed(plugins, f"+experiment={experiment}")
    model = typed(ModelConfig, config["model"])
    definition = Architecture.of(model, config["ops"], plugins.registry, vocabSize).definition
    assert sum(matrix.count for matrix in definition.matrices()) == count


def test_book_is_the_standard_setting(plugins: Plugins) -> None:
    config = composed(plugins, "+experiment=book")
    assert config["train"] | {"numSteps": 5000, "learningRate": 0.01, "batchSize": 1} == config["train"]
    own = {"name": "adam", "beta1": 0.85, "beta2": 0.99, "epsAdam": 1e-8}
    assert config["optimizer"] == {**own, "clip": None, "decay": {}}
    assert config["schedule"]["name"] == "linear"


def test_names_is_the_microgpt_setting(plugins: Plugins) -> None:
    config = composed(plugins, "+experiment=names")
    sizes = {key: config["model"][key] for key in ("nLayer", "nEmbd", "nHead", "blockSize")}
    assert sizes == {"nLayer": 1, "nEmbd": 16, "nHead": 4, "blockSize": 16}
    assert config["train"]["numSteps"] == 1000
