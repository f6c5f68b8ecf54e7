"""Sweeps that Optuna steers, as a person sees them: hydra/sweeper=optuna."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from gptlab.cli import main
from gptlab.command.sweepers import with_ready_sweeper
from gptlab.sweeps.record import JobRecord, read_records
from gptlab.sweeps.study import study_of
from gptlab.sweeps.trial import JOURNAL

SMALL = ["+experiment=tiny", "data=questions", "train.numSteps=40", "train.evalEvery=10", "model.nHead=2"]
QUIET = ["samples.n=0", "progress=none"]
RATE = "train.learningRate=tag(log,interval(0.0003,0.3))"
OPTUNA = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=8"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep_folder(folder: Path) -> Path:
    (found,) = folder.glob("runs/*/*-sweep")
    return found


def statuses(records: list[JobRecord]) -> list[str]:
    return [record.status for record in records]


def values(records: list[JobRecord]) -> list[str]:
    return [record.overrides["train.learningRate"] for record in records]


@pytest.mark.slow
def test_poor_jobs_are_pruned_and_the_importance_is_shown(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    assert main(["-m", *SMALL, *QUIET, *OPTUNA, RATE, "model.nEmbd=8,16"]) == 0

    out, error = capfd.readouterr()
    assert error == ""
    sweep = sweep_folder(mlflow_folder)
    records = read_records(sweep)
    assert len(records) == 8
    assert set(statuses(records[:5])) == {"FINISHED"}, "too few before them"
    pruned = [record for record in records if record.status == "PRUNED"]
    assert pruned
    for record in pruned:
        assert 10 <= record.steps < 40 and f"pruned at step {record.steps}:" in record.reason
        assert f"{record.name}: {record.reason}" in out
        assert (sweep / record.folder / f"checkpoints/step-{record.steps:06}").is_dir()
    trials = study_of(sweep).trials
    assert [trial.state.name for trial in trials] == [
        s.replace("FINISHED", "COMPLETE") for s in statuses(records)
    ]
    assert [str(trial.params["train.learningRate"]) for trial in trials] == values(records)
    assert [trial.value for trial in trials] == [record.score for record in records]

    assert f"Optuna: 8 trials, {len(pruned)} pruned; importance for the loss (fANOVA): " in out
    rows = list(csv.DictReader((sweep / "trials.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == [trial.state.name for trial in trials]
    shares = dict(csv.reader((sweep / "importance.csv").read_text().splitlines()[1:]))
    assert set(shares) == {"train.learningRate", "model.nEmbd"}
    assert sum(map(float, shares.values())) == pytest.approx(1)

    client = MlflowClient(f"sqlite:///{mlflow_folder}/mlflow.db")
    parent = json.loads((sweep / "sweep.json").read_text())["id"]
    logged = {file.path for file in client.list_artifacts(parent)}
    assert {"trials.csv", "importance.csv", "importance.png", "summary.csv"} <= logged
    run = client.get_run(pruned[0].runId)
    assert (run.info.status, run.data.tags["error"]) == ("KILLED", pruned[0].reason)


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["-m", *SMALL, *QUIET, *OPTUNA, RATE, "tracking=none"]
    assert main(command) == 0
    sweep = sweep_folder(folder)
    before = read_records(sweep)
    assert "PRUNED" in statuses(before[:7])
    shutil.rmtree(sweep / "7")
    capfd.readouterr()

    assert main([*command, "sweep.resume=latest"]) == 0
    after = read_records(sweep)
    out = capfd.readouterr().out
    assert out.count("finished before") == 7
    assert values(after) == values(before) and statuses(after) == statuses(before)
    assert [record.score for record in after] == [record.score for record in before]
    assert [trial.state.name for trial in study_of(sweep).trials].count("PRUNED") == statuses(before).count(
        "PRUNED"
    )


@pytest.mark.slow
def test_jobs_in_other_processes_ask_the_same_study(folder: Path) -> None:
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2"]
    assert main(["-m", *SMALL, *QUIET, *OPTUNA, *joblib, RATE, "tracking=none"]) == 0
    sweep = sweep_folder(folder)
    records, trials = read_records(sweep), study_of(sweep).trials
    assert [str(trial.params["train.learningRate"]) for trial in trials] == values(records)
    for record, trial in zip(records, trials, strict=True):
        assert trial.intermediate_values == dict(record.curves["val/loss"])
        assert (trial.state.name == "PRUNED") == (record.status == "PRUNED")


@pytest.mark.slow
def test_a_job_that_fails_is_told_as_the_worst(folder: Path) -> None:
    # Of the widths 18 to 20 a single one is a multiple of four heads.
    widths = ["model.nEmbd=int(interval(18,20))", "model.nHead=4", "train.numSteps=2", "engine=scalar"]
    small = [word for word in SMALL if not word.startswith(("train.numSteps", "model.nHead"))]
    assert main(["-m", *small, *QUIET, *OPTUNA, *widths, "data.valFraction=0", "tracking=none"]) == 1
    records = read_records(sweep_folder(folder))
    assert set(statuses(records)) == {"FINISHED", "FAILED"}
    for record, trial in zip(records, study_of(sweep_folder(folder)).trials, strict=True):
        assert trial.value == (record.score if record.status == "FINISHED" else float("inf"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.learningRate=interval(0.1,0.2)"], "+sweep=optuna"),
        ([*OPTUNA, RATE, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials must be at least 1: got 0"),
        ([*OPTUNA, RATE, "hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs must be at least 1: got 0"),
        ([*OPTUNA, "train.learningRate=interval(0.2,0.1)"], "Try train.learningRate=interval(0.1, 0.2)"),
        ([*OPTUNA, "train.learningRate=tag(log,interval(0,1))"], "must begin above 0"),
        ([*OPTUNA, "train.learningRat=interval(0,1)"], "Did you mean train.learningRate?"),
        ([*OPTUNA, "model.nEmbd=interval(8,16)"], "model.nEmbd must be a whole number: got 8.0."),
        ([*OPTUNA, RATE, "hydra/sweeper/sampler=grid"], "-m makes a grid by itself"),
        (OPTUNA, "Optuna needs a key to choose values for"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes(folder: Path, capfd: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["-m", *SMALL, *QUIET, "tracking=none", *words]) == 2
    error = capfd.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (folder / "runs").exists()


def test_a_sampler_whose_package_is_missing(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gptlab.command.sweepers.find_spec", lambda name: None)
    assert main(["-m", *SMALL, *OPTUNA, RATE, "hydra/sweeper/sampler=cmaes"]) == 2
    assert "pip install cmaes" in capfd.readouterr().err


@pytest.mark.slow
def test_jobs_that_can_none_be_trained_leave_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # 21 to 23: none is a multiple of four heads, and the plan cannot know what will be chosen.
    assert main(["-m", *SMALL, *QUIET, *OPTUNA, "model.nEmbd=int(interval(21,23))", "model.nHead=4"]) == 2
    assert "nHead must divide nEmbd" in capfd.readouterr().err
    assert not (folder / "runs").exists()


@pytest.mark.slow
def test_what_to_install(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["sweeper"], "optuna.yaml")
    assert main(["-m", *SMALL, *OPTUNA, RATE]) == 2
    assert capfd.readouterr().err == (
        "gptlab: the sweeper 'optuna' is not installed. Type pip install 'gptlab[optuna]'\n"
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["-m", "hydra/sweeper=optuna", "seed=1,2"], ["-m", "+sweep=optuna", "seed=1,2"]),
        (["+sweep=joblib", "hydra/sweeper=optuna"], ["+sweep=[joblib,optuna]"]),
        (["hydra/sweeper=optuna", "+sweep=optuna"], ["+sweep=optuna"]),
        (["hydra/sweeper=basic", "+sweep=ray"], ["hydra/sweeper=basic", "+sweep=ray"]),
    ],
)
def test_hydras_own_word_brings_the_settings(typed: list[str], meant: list[str]) -> None:
    assert with_ready_sweeper(typed) == meant


def test_the_journal_is_made_anew(folder: Path) -> None:
    from gptlab.sweeps.study import begin_study

    (folder / JOURNAL).write_text("what was there before\n")
    assert begin_study(str(folder)).get_all_studies() == []
