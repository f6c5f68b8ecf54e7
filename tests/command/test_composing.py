"""From arguments to the one job of a run: what is asked of Hydra, and that it is what Hydra itself would do."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from gptlab.cli import main
from gptlab.command.composing import prepared
from gptlab.command.hydra_insides import Hydra, get_args_parser, run_one
from gptlab.command.line import check_typed_keys, read_command_line
from gptlab.command.verbs import ROOTS
from gptlab.config.experiments import folder_of

ARGUMENTS = [
    "+experiment=tiny",
    "model/norm=layernorm",
    "model.norm.eps=1e-3",
    "+hydra.job.env_set.GPTLAB_SET=1",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    return tmp_path


def seen_by(run: Callable[[Callable[..., None]], Any]) -> dict[str, Any]:
    """What a job sees that `run` is given: its config, Hydra's, and an environment variable that was asked for."""
    seen: dict[str, Any] = {}

    def job(config: Any) -> None:
        import os

        seen["config"] = OmegaConf.to_container(config, resolve=True)
        seen["hydra"] = OmegaConf.to_container(HydraConfig.get())  # whole only in a sweep
        seen["variable"] = os.environ.get("GPTLAB_SET")
        seen["folder exists"] = Path(HydraConfig.get().runtime.output_dir).is_dir()

    run(job)
    return seen


def hydras_own(job: Callable[..., None]) -> None:
    hydra.main(version_base="1.3", config_path=str(folder_of("conf")), config_name="train")(job)()


@pytest.mark.slow
def test_a_job_sees_what_hydras_own_main_shows_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared()
    ours = seen_by(lambda job: run_one(get_args_parser().parse_args(ARGUMENTS), job))
    monkeypatch.setattr(sys, "argv", ["gptlab", *ARGUMENTS])
    theirs = seen_by(hydras_own)
    for seen in (ours, theirs):
        seen["hydra"]["run"].pop("dir")  # the time of day
        seen["hydra"]["job"].pop("name")  # there the file that the job is in
        seen["hydra"]["runtime"].pop("output_dir")
        # @hydra.main adds the mode that it has found to what was typed.
        assert seen["hydra"]["overrides"]["hydra"] in (ARGUMENTS[3:], [*ARGUMENTS[3:], "hydra.mode=RUN"])
        seen["hydra"]["overrides"].pop("hydra")
    assert ours == theirs
    assert ours["variable"] == "1" and ours["folder exists"]


def test_a_config_is_composed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []
    compose = Hydra.compose_config
    monkeypatch.setattr(
        Hydra,
        "compose_config",
        lambda self, *args, **kwargs: composed.append(1) or compose(self, *args, **kwargs),
    )
    assert main(["train.learningRate=fast"]) == 2
    assert len(composed) == 1
    assert main(["train.numStep=3"]) == 2
    assert len(composed) == 1, "what the schema alone tells needs no config"


WRONG_KEYS = ("train.numStep=3", "nmSteps=3", "ops.mull=mul", "samples.m=2", "checkpoint.evry=null")


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong", [*WRONG_KEYS, "model.norm.epss=3", "train.numSteps.x=3", "++train.numStep=3"]
)
def test_a_wrong_key_is_told_in_the_same_words_before_a_config_is_composed_and_by_composing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    assert main([wrong]) == 2
    early = capsys.readouterr().err
    monkeypatch.setattr("gptlab.cli.verbs.train.check_typed_keys", lambda line, root: None)
    assert main([wrong]) == 2
    assert capsys.readouterr().err == early != ""


def test_only_what_the_schema_knows_is_told_before(folder: Path) -> None:
    overrides = [
        "train.numSteps=3",
        "+experiment=tiny",
        "model/norm=layernorm",
        "model.norm.anything=1",
        "seed=1",
    ]
    overrides += ["hydra.run.dir=x", "+train.new=1", "original.whatever=1", "train={numSteps: 3}"]
    check_typed_keys(read_command_line(overrides), ROOTS["train"])
    elsewhere = read_command_line(["anything=1", "--config-name", "mine"])
    check_typed_keys(elsewhere, ROOTS["train"])


def test_configs_that_are_not_selected_are_not_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(
        "gptlab.command.source.read_experiment", lambda file, schema: made.append(file.stem) or {}
    )
    monkeypatch.setattr(
        "gptlab.config.schema.schema_of",
        lambda cls, name: made.append(name) or pytest.fail("none is selected here"),
    )
    nodes = prepared()
    assert nodes and made == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["+experiment=sweep", "tracking=none"],
        ["hydra.verbose=[nosuchlogger]"],
    ],
    ids=["mode", "verbose"],
)
def test_what_needs_more_of_hydra_is_left_to_it(
    folder: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small models of the xla engine go side by side, without Hydra's sweeper.
    text = "# @package _global_\ndefaults: [{override /engine: scalar}]\nhydra: {mode: MULTIRUN}\n"
    (folder / "experiments/sweep.yaml").write_text(text)
    prepared()
    flags, swept = read_command_line(overrides).flags, "+experiment=sweep" in overrides
    asked: list[list[str]] = []
    for name in ("run", "multirun"):
        monkeypatch.setattr(Hydra, name, lambda self, *args: asked.append(args[2]))
    assert run_one(flags, lambda config: pytest.fail("it was run")) is not swept
    assert asked == ([] if swept else [[*overrides, "hydra.mode=RUN"]])
    asked.clear()
    assert main(overrides) == 0
    # A sweep's folder is said in front of them, and the mode behind.
    assert [arguments[-len(overrides) - 1 : -1] for arguments in asked] == [overrides]


def test_an_experiment_built_on_another(folder: Path) -> None:
    (folder / "experiments/mine.yaml").write_text("defaults: [tiny]\nmodel: {nEmbd: 20}\n")
    prepared()
    seen = seen_by(lambda job: run_one(read_command_line(["+experiment=mine"]).flags, job))
    assert (seen["config"]["model"]["nEmbd"], seen["config"]["train"]["batchSize"]) == (20, 16)
