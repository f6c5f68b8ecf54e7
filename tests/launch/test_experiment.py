"""Each part of what a config describes is made once, and what is wrong shows before the data is read."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gptlab.assembly import architecture
from gptlab.cli import main
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, as_dict, typed
from gptlab.errors import UserError
from gptlab.launch import experiment
from gptlab.launch.experiment import Experiment
from gptlab.plugins.registry import Registry

TINY = ["+experiment=tiny", "model.nEmbd=8", "train.numSteps=2", "samples.n=0", "progress=none"]
COMMANDS = {
    "train": [*TINY, "tracking=none"],
    "summary": ["summary", *TINY],
    "graph": ["graph", *TINY],
}
BUILT = ("optimizer", "schedule", "engine", "dataset", "tokenizer", "adapter", "norm")


def config_of(*overrides: str) -> Config:
    prepared()
    return typed(Config, plain(compose("train", [*TINY, "tracking=none", *overrides])))


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_part_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    made: Counter[str] = Counter()

    def counted(place: Any, name: str) -> None:
        made_by = getattr(place, name)

        def counting(*arguments: Any, **more: Any) -> Any:
            made[name] += 1
            return made_by(*arguments, **more)

        monkeypatch.setattr(place, name, counting)

    for name in ("settle_sizes", "try_shapes", "op_table"):
        counted(architecture, name)
    counted(experiment, "data_of")
    get = Registry.get

    def counting(self: Registry, kind: str, name: str) -> Any:
        made[kind] += 1
        return get(self, kind, name)

    monkeypatch.setattr(Registry, "get", counting)
    assert main(command) == 0
    once = ("settle_sizes", "try_shapes", "op_table", "data_of", *BUILT)
    assert {name: made[name] for name in once} == dict.fromkeys(once, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("model.nHead=3", "nHead must divide nEmbd"),
        ("ops.mul=exp", "ops.mul must be an op of 2 numbers"),
        ("train.freeze=[nosuch]", "train.freeze"),
        ("samples.temperature=-1", "in samples: temperature"),
        ("train.numSteps=0", "train.numSteps must be at least 1"),
        ("engine.dtype=int8", "engine.dtype must be"),
        ("optimizer.beta1=2", "beta1"),
    ],
)
def test_what_is_wrong_shows_before_the_data_is_read(
    monkeypatch: pytest.MonkeyPatch, wrong: str, message: str
) -> None:
    monkeypatch.setattr(experiment, "data_of", lambda *_: pytest.fail("the data was read"))
    more = ["samples.n=1"] if wrong.startswith("samples") else []
    with pytest.raises(UserError, match=message):
        Experiment.of(config_of(wrong, *more), prepared().registry)


@pytest.mark.slow
def test_the_data_gives_the_model_its_vocabulary_and_nothing_else() -> None:
    made = Experiment.of(config_of(), prepared().registry)
    sizes = made.definition.sizes
    assert sizes.vocabSize == made.data.tokenizer.vocabSize != made.model.definition.sizes.vocabSize
    assert [m.name for m in made.definition.matrices()] == [m.name for m in made.model.definition.matrices()]
    assert made.definition is made.definition and made.session is made.session


@pytest.mark.slow
def test_a_config_becomes_the_dicts_that_it_was_made_of() -> None:
    prepared()
    settings = plain(
        compose("train", [*TINY, "model/norm=layernorm", "ops.exp=relu", "train.freeze=[output]"])
    )
    config = typed(Config, settings)
    assert config.train.freeze == ["output"] and config.model.norm.name == "layernorm"
    del settings["sweep"], settings["anyway"]
    assert settings.pop("listener") == {}  # of none of which a run's config tells
    kept = as_dict(config)
    assert kept == settings
    assert list(kept) == list(settings) and list(kept["model"]) == list(settings["model"])
    assert type(kept["optimizer"]) is type(kept["ops"]) is dict, "YAML and JSON know no others"


def test_a_config_that_lacks_keys_gets_their_defaults() -> None:
    config = typed(Config, {"model": {"nEmbd": 8}, "original": {"run": "a"}})
    assert config.model.nEmbd == 8 and config.model.nLayer == 1 and config.train.numSteps == 1000
    assert config.original is not None and config.original.run == "a" and config.original.split is None
