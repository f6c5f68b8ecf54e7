"""What tests/composing.py keeps: that a config is Hydra's own with it, too, and what is not kept."""

from pathlib import Path

import pytest
from hydra._internal.config_repository import ConfigRepository
from omegaconf import OmegaConf

from gptlab.command.composing import compose, make_known, prepared
from gptlab.config import schema
from gptlab.plugins.loading import load_plugins
from tests.composing import load

OVERRIDES = [
    ["+experiment=tiny", "model/norm=layernorm", "seed=3", "train.rates={output: 0.5}"],
    ["tracking=none", "model/activation=gelu", "optimizer=sgd", "listeners=[]"],
    [],
]


@pytest.mark.parametrize("overrides", OVERRIDES)
@pytest.mark.parametrize("root", ["train", "graph", "ablate"])
def test_it_is_what_hydra_composes(root: str, overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(quiet=True)
    kept = [OmegaConf.to_yaml(compose(root, overrides)) for _ in range(2)]
    monkeypatch.setattr(ConfigRepository, "load_config", load)
    assert kept == [OmegaConf.to_yaml(compose(root, overrides))] * 2


def test_roots_are_merged_after_many_other_listeners() -> None:
    prepared(quiet=True)
    compose("train", [])
    schema.config_of_listeners.cache_clear()
    compose("gallery", ["train.numSteps=3"])


def test_what_a_test_does_with_its_config_is_its_own() -> None:
    prepared(quiet=True)
    config = compose("train", [])
    first = OmegaConf.to_yaml(config)
    config.model.nEmbd = 8
    config.model.norm.eps = 0.5
    assert OmegaConf.to_yaml(compose("train", [])) == first


def test_a_file_that_has_changed_and_a_component_of_the_same_name_are_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plugin, experiment = tmp_path / "plugins/mine.py", tmp_path / "experiments/own.yaml"
    for file in (plugin, experiment):
        file.parent.mkdir()
    for scale, seed in ((2.0, 5), (3.0, 6)):
        plugin.write_text(PLUGIN.format(scale=scale))
        experiment.write_text(f"# @package _global_\nseed: {seed}\n")
        make_known(load_plugins(quiet=True), quiet=True)
        config = compose("train", ["+experiment=own", "model/norm=scaled"])
        assert (config.model.norm.scale, config.seed) == (scale, seed)


PLUGIN = """
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Scaled:
    \"\"\"A norm by a number.\"\"\"

    scale: float = {scale}

    def weights(self, config):
        return {{}}

    def __call__(self, weights, x):
        return x * self.scale


@gptlab.hookimpl
def gptlab_register_components(register):
    register("norm", "scaled", Scaled)
"""
