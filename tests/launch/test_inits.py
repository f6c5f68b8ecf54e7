"""An init in runs: a plugin's own, its rates, going on, starting from it, asking it; a config without one."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import gptlab
from gptlab.assembly.architecture import Architecture
from gptlab.cli import main
from gptlab.config.typed import ModelConfig, typed
from gptlab.exchange.standard import standard_config
from gptlab.model.init import Normal
from gptlab.plugins.loading import load_plugins
from tests.resuming import TINY, as_killed, result, write_corpus

PLUGIN = '''
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Uniform(gptlab.Init):
    """Uniform; the output stays as it is, nearly.

    width: of half the range.
    """

    width: float = 0.1

    def start(self, name, weight, generator):
        return generator.uniform(-self.width, self.width, weight.shape)

    def rates(self, shapes):
        return {"output": 1e-30}


@gptlab.hookimpl
def gptlab_register_inits(register):
    register("uniform", Uniform)
'''
FEW = [*TINY, "engine=scalar", "samples.n=0", "train.numSteps=6", "checkpoint.every=3", "checkpoint.keep=9"]
OWN = ["model/init=uniform", "model.init.width=0.2"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/uniform.py").write_text(PLUGIN)
    assert main([*FEW, *OWN, "hydra.run.dir=runs/one"]) == 0
    return tmp_path / "runs/one"


@pytest.mark.slow
def test_a_run_with_a_plugins_init(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = load_file(run / "checkpoints/step-000006/weights.safetensors")
    for name, array in weights.items():
        generator = np.random.default_rng([0, 0, int.from_bytes(name.encode(), "big")])
        stayed = (array == generator.uniform(-0.2, 0.2, array.shape)).all()
        assert stayed == (name == "output"), name
    assert json.loads((run / "plugins.json").read_text())["init uniform"] == "uniform"
    # Going on with it is bitwise what it would have been.
    killed = as_killed(run, run.parent / "killed", 3)
    assert main([f"resume={killed}", "progress=none"]) == 0
    assert result(killed) == result(run)
    # In a notebook.
    assert len(gptlab.load(run).generate(n=2)) == 2
    # A run that starts from it takes its init, and refuses another.
    more = [
        "data=text",
        "data.path=corpus.txt",
        "tracking=none",
        "samples.n=0",
        "progress=none",
        "train.numSteps=1",
    ]
    assert main([*more, f"initFrom={run}", "hydra.run.dir=runs/more"]) == 0
    assert yaml.safe_load(Path("runs/more/config.yaml").read_text())["model"]["init"]["name"] == "uniform"
    capsys.readouterr()
    assert main([*more, f"initFrom={run}", "model/init=scaled"]) == 2
    assert "model/init=scaled (it has uniform)" in capsys.readouterr().err


def test_a_config_from_before_there_were_inits() -> None:
    registry = load_plugins(discover=False).registry
    config = standard_config({"nLayer": 1, "nEmbd": 8, "nHead": 2, "blockSize": 6, "vocabSize": 11})
    model = {key: value for key, value in config["model"].items() if key != "init"}
    made = Architecture.of(typed(ModelConfig, model), config["ops"], registry, 11)
    assert made.definition.init == Normal()


@pytest.mark.slow
def test_summary_says_which_init_where_it_is_not_the_standard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    assert main(["summary", *TINY, "model/init=mup", "model.init.base=8"]) == 0
    assert "MuP(base=8)" in capsys.readouterr().out
    assert main(["summary", *TINY]) == 0
    assert "Normal" not in capsys.readouterr().out
