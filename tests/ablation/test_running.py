"""Whole ablations: paired by their seeds, never trained twice, stopped and gone on with, and what broke down shown."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from gptlab.ablation.result import Ablation
from gptlab.cli import main
from gptlab.sweeps.record import read_records
from gptlab.sweeps.sweep import read_sweep
from tests.ablation_commands import ARM, BASE, ablate, folders, run_folders, told_as_json
from tests.sweeping import command_in, signal_at

APART = ["model/norm=layernorm", "model/activation=gelu"]


@pytest.mark.slow
def test_arms_are_paired_with_the_baseline_by_their_seeds(folder: Path, capsys: Any) -> None:
    told = told_as_json(capsys, ARM, "seeds=2", "seed=5")
    (arm,), baseline = told["arms"], told["baseline"]
    losses = [{run["seed"]: run["loss"] for run in one["runs"]} for one in (baseline, arm)]
    assert list(losses[0]) == list(losses[1]) == [5, 6]
    assert arm["difference"] == pytest.approx(fmean(losses[1][seed] - losses[0][seed] for seed in (5, 6)))
    assert (arm["verdict"], arm["p"], arm["seeds"]) == ("undecided", None, 2)
    assert arm["overrides"] == APART[:1] and baseline["overrides"] == BASE
    assert arm["costs"]["parameters"] == baseline["costs"]["parameters"] and arm["costs"]["flops"] > 0
    assert set(told["noise"]) >= {"deviation", "detectable", "seeds"}
    for one in (baseline, arm):
        for run in one["runs"]:
            config = json.loads((Path(run["folder"]) / "run.json").read_text())
            assert config["status"] == "FINISHED"
    assert len(run_folders()) == 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ablation]:
    """A folder with two arms over two seeds."""
    from tests.resuming import write_corpus

    place = tmp_path_factory.mktemp("trained")
    write_corpus(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return place, ablate(f"arms=[{', '.join(APART)}]", "seeds=2")


@pytest.mark.slow
def test_a_run_that_is_there_is_not_trained_again(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place, first = trained
    monkeypatch.chdir(place)
    before = run_folders()
    assert len(before) == 6 and not [run for _, one in first.settings for run in one.runs if run.reused]
    # In another order, told in another way, and shown otherwise: the runs are the same.
    again = ablate(f"arms=[{', '.join(reversed(APART))}]", "seeds=2", "description=again", "++model.nLayer=1")
    assert run_folders() == before
    assert all(run.reused for _, one in again.settings for run in one.runs)
    of_arm = {arm.name: arm for arm in again.arms}
    for arm in first.arms:
        assert of_arm[arm.name].comparison == arm.comparison
        assert of_arm[arm.name].setting.losses == arm.setting.losses
    # Of a third seed and another arm only what is missing is trained.
    more = ablate("arms=[model/norm=layernorm, model/activation=tanh]", "seeds=3")
    new = [run for _, one in more.settings for run in one.runs if not run.reused]
    assert len(run_folders() - before) == len(new) == 1 + 1 + 3
    assert {run.seed for run in more.baseline.runs if not run.reused} == {2}
    # Another number of steps is another run; and `again` trains all.
    count = len(run_folders())
    assert not any(run.reused for run in ablate(ARM, "seeds=2", "train.batchSize=2").baseline.runs)
    forced = ablate(ARM, "seeds=2", "again=true")
    assert len(run_folders()) == count + 8
    assert forced.baseline.losses == first.baseline.losses and not forced.baseline.runs[0].reused


@pytest.mark.slow
def test_one_that_is_stopped_goes_on_by_the_command_that_it_tells(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*BASE, "train.numSteps=20", "train.logEvery=1", ARM, "seeds=2"]
    with monkeypatch.context() as patch:
        signal_at(patch, job=2, step=7)
        assert main(["ablate", *command]) == 130
    error = capfd.readouterr().err
    (place,) = folders()
    assert [record.status for record in read_records(place)] == ["FINISHED", "KILLED"]
    assert read_sweep(place).status == "KILLED"
    again = command_in(error.splitlines()[0])
    assert again[0] == "ablate" and again[-1].startswith("sweep.resume=")
    found = ablate(*again[1 + len(BASE) :])
    assert folders() == {place} and read_sweep(place).status == "FINISHED"
    assert [record.status for record in read_records(place)] == ["FINISHED"] * 4
    assert len(run_folders()) == 4
    monkeypatch.chdir(folder)
    whole = ablate(*command[len(BASE) :], "again=true")
    assert [one.losses for _, one in whole.settings] == [one.losses for _, one in found.settings]
    # Another question is not what was begun.
    capfd.readouterr()
    assert main(["ablate", *command, "epsilon=0.1", f"sweep.resume={place}"]) == 2
    assert "epsilon=0.1 is new" in capfd.readouterr().err


@pytest.mark.slow
def test_a_run_that_breaks_down_counts_against_its_arm_and_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ablate("arms=[train.learningRate=1e200, model/norm=layernorm]", "seeds=2", status=1)
    out = capsys.readouterr().out
    broken, well = found.arms
    assert (broken.comparison.verdict, broken.comparison.lost, broken.comparison.seeds) == ("failed", 2, 2)
    assert broken.comparison.difference is None and not broken.setting.losses
    assert [run.status for run in broken.setting.runs] == ["FAILED", "FAILED"]
    assert all(run.reason and run.folder for run in broken.setting.runs)
    assert well.comparison.lost == 0 and well.comparison.difference is not None
    assert "failed" in out and "learningRate=1e200" in out


@pytest.mark.slow
def test_each_arm_is_tuned_on_seeds_that_it_is_not_judged_on(folder: Path) -> None:
    found = ablate("arms=[optimizer=sgd]", "seeds=2", "tune=train.learningRate=1e-9,0.1", "train.batchSize=4")
    (arm,) = found.arms
    assert found.baselineTuning is not None and arm.tuning is not None and arm.untuned is not None
    for tuning in (found.baselineTuning, arm.tuning):
        assert [dict(values) for values, _ in tuning.points] == [
            {"train.learningRate": value} for value in ("1e-9", "0.1")
        ]
        assert dict(tuning.best) == {"train.learningRate": "0.1"} and tuning.edge.startswith("tune=")
    assert [note for note in found.notes if "optimizer=sgd: the best value is at the edge" in note]
    assert arm.setting.tuned == found.baseline.tuned == {"train.learningRate": "0.1"}
    assert set(arm.setting.losses) == {0, 1}
    # Twelve runs to tune, two an arm at its best, two at the baseline's setting.
    seeds = [int(record.overrides["seed"]) for record in read_records(Path(found.folder))]
    assert sorted(seeds) == [0] * 4 + [1] * 4 + [s for s in (10000, 10001, 10002) for _ in range(4)]


@pytest.mark.slow
def test_at_each_size_an_arm_is_beside_the_baseline_of_that_size_with_as_many_operations(
    folder: Path,
) -> None:
    found = ablate(
        "arms=[model.nLayer=2]", "seeds=2", "sizes=model.nEmbd=2,4", "match=flops", "train.numSteps=9"
    )
    (arm,) = found.arms
    small, large = arm.sizes
    assert (small.size, large.size) == (["model.nEmbd=2"], ["model.nEmbd=4"])
    assert (
        small.parameters < large.parameters == found.baseline.costs.parameters
    )  # its own size: the question's
    assert large.comparison == arm.comparison
    for at in arm.sizes:
        assert at.comparison.difference == pytest.approx(at.arm - at.baseline)
    assert arm.setting.costs.steps < 9 == found.baseline.costs.steps
    assert arm.setting.costs.flops == pytest.approx(found.baseline.costs.flops, rel=0.1)
    steps = {len((Path(run.folder) / "metrics.jsonl").read_text().splitlines()) for run in arm.setting.runs}
    assert len(steps) == 1 and found.match == "flops"


@pytest.mark.slow
def test_as_long_as_the_baseline_takes(folder: Path) -> None:
    found = ablate("arms=[model.nLayer=3]", "seeds=2", "match=seconds", "train.numSteps=200", "model.nEmbd=2")
    (arm,) = found.arms
    assert arm.setting.costs.steps < found.baseline.costs.steps == 200
    seeds = {record.overrides["seed"] for record in read_records(Path(found.folder))}
    assert seeds == {"0", "1", "20000"}  # that it was timed with


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["arms=[model.nLayer=2, [model.nLayer=2, model.nHead=2]]"],
            "'nLayer=2' and 'nLayer=2 nHead=2' are the same",
        ),
        (["arms=[model/norm=rmsnorm]"], "it changes nothing"),
        ([ARM, "seeds=1"], "seeds must be 2 to"),
        (["minus=[nrom]"], "Did you mean norm"),
        (["arms=[optimizer=sgd]", "tune=optimizer.beta2=0.9,0.99"], "the arm 'optimizer=sgd' must be"),
        ([ARM, "sizes=model.nEmbd=4,5"], "model.nHead"),
        ([ARM, "arm=[a=1]"], "arm"),
        ([ARM, "+sweep=optuna"], "takes no Hydra sweeper: got OptunaSweeper"),
        ([], "compares arms with the baseline"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_leaves_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["ablate", *BASE, *words]) == 2
    out, error = capsys.readouterr()
    assert said in error and not out and not Path("runs").exists()
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_budget_too_small_for_the_noise_of_the_baseline_is_refused_once_a_run_has_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ablate", *BASE, ARM, "seeds=12", "budget=0.001s"]) == 2
    error = capsys.readouterr().err
    assert (
        "budget=0.001s is too small for the noise of the baseline alone: " in error and "Try budget=" in error
    )
    assert len(run_folders()) == 1
