"""A study in a sweep's folder: what jobs report, which are pruned, what is left for a sampler to learn from."""

import json
import math
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from gptlab.data.facts import DatasetFacts
from gptlab.runs.run import Run
from gptlab.sweeps.record import FAILED, FINISHED, KILLED, PRUNED, JobRecord
from gptlab.sweeps.study import begin_study, study_of, study_results
from gptlab.sweeps.trial import JOURNAL, Pruned, Trial, objective, trial_of

STEPS = 30


def run(folder: Path) -> Run:
    facts = DatasetFacts("names", "gptlab", "0" * 16, 10, 9, 1)
    return Run("job", "", folder, {"train": {"numSteps": STEPS}}, [], facts, {})


def reported(trial: Trial, job: Run, step: int, loss: float) -> None:
    """A logged step with a validation loss, as the training loop makes it known."""
    job.metrics.append((step, {"val/loss": loss}))
    trial.gptlab_step_ended(job, step, job.metrics[-1][1])


class Sweep:
    """What Hydra's sweeper does of a sweep: it asks for values, and tells of each job what the job returned."""

    def __init__(self, folder: Path, seed: int = 0, startup: int | None = 5):
        self.folder, self.startup, self.number = folder, startup, -1
        storage, sampler = begin_study(str(folder)), optuna.samplers.TPESampler(seed=seed)
        self.study = optuna.create_study(storage=storage, sampler=sampler)

    def begin(self) -> tuple[Trial, FrozenTrial]:
        self.asked = self.study.ask({"train.learningRate": FloatDistribution(0.001, 0.1, log=True)})
        self.number += 1
        return Trial(self.folder, self.number, self.startup), self.asked

    def tell(self, value: float) -> None:
        self.study.tell(self.asked, state=TrialState.COMPLETE, values=[value])

    def job(self, losses: dict[int, float]) -> bool:
        """A whole job with these validation losses; whether it went to its end."""
        trial, _ = self.begin()
        job = run(self.folder)
        for step, loss in losses.items():
            reported(trial, job, step, loss)
            try:
                trial.stop()
            except Pruned:
                self.tell(min(row["val/loss"] for _, row in job.metrics))
                return False
        self.tell(losses[STEPS])
        return True


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in study_of(folder).trials]


@pytest.fixture
def five_jobs(tmp_path: Path) -> Sweep:
    """Their losses at step 10: 1.0 to 1.4, with a median of 1.2."""
    sweep = Sweep(tmp_path)
    assert all(sweep.job({10: 1 + i / 10, 20: 0.9, STEPS: 0.8}) for i in range(5))
    return sweep


def test_a_job_above_the_median_is_pruned(five_jobs: Sweep) -> None:
    assert not five_jobs.job({10: 1.21, 20: 0.1, STEPS: 0.1})
    assert states(five_jobs.folder) == ["COMPLETE"] * 5 + ["PRUNED"]
    trial = study_of(five_jobs.folder).trials[-1]
    assert trial.value == 1.21 and trial.intermediate_values == {10: 1.21}
    assert "pruned at step 10" in trial.user_attrs["pruned"] and "1.210" in trial.user_attrs["pruned"]


def test_a_job_below_the_median_goes_on(five_jobs: Sweep) -> None:
    assert five_jobs.job({10: 1.19, 20: 0.9, STEPS: 0.8})
    assert states(five_jobs.folder) == ["COMPLETE"] * 6


def test_the_last_validation_ends_no_job(five_jobs: Sweep) -> None:
    assert five_jobs.job({STEPS: 5.0})


def test_a_loss_that_is_not_finite_is_for_training_to_end(five_jobs: Sweep) -> None:
    assert five_jobs.job({10: math.nan, STEPS: 5.0})
    assert study_of(five_jobs.folder).trials[-1].intermediate_values == {STEPS: 5.0}


@pytest.mark.parametrize("startup", [6, None], ids=["too few before it", "pruning off"])
def test_a_poor_job_that_is_not_pruned(tmp_path: Path, startup: int | None) -> None:
    sweep = Sweep(tmp_path, startup=startup)
    assert all(sweep.job({10: 1.0, 20: 0.9, STEPS: 0.8}) for _ in range(5))
    assert sweep.job({10: 9.0, 20: 9.0, STEPS: 9.0})


def test_the_same_start_prunes_nobody(tmp_path: Path) -> None:
    # Runs that start from given weights have a validation loss at step 0, which says nothing of the job.
    sweep = Sweep(tmp_path)
    assert all(sweep.job({0: 1.0 + i / 10, 10: 0.9, STEPS: 0.8}) for i in range(5))
    assert sweep.job({0: 5.0, 10: 0.85, STEPS: 0.8})


def test_a_resumed_run_has_reported_what_it_had_before(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    trial, _ = sweep.begin()
    job = run(tmp_path)
    job.metrics = [(1, {"train/loss": 2.0}), (10, {"train/loss": 1.5, "val/loss": 1.4})]
    trial.gptlab_run_started(job)
    reported(trial, job, 20, 1.1)
    assert study_of(tmp_path).trials[0].intermediate_values == {10: 1.4, 20: 1.1}


def test_a_sweep_that_is_resumed_asks_for_the_same_values(tmp_path: Path) -> None:
    first = Sweep(tmp_path)
    losses = [{10: 1.0, 20: 0.9, STEPS: 0.5 + i / 10} for i in range(12)] + [{10: 2.0, STEPS: 1.0}]
    ended = [first.job(each) for each in losses]
    assert ended == [True] * 12 + [False]
    following = first.begin()[1].params
    asked = [trial.params for trial in study_of(tmp_path).trials]
    had = [trial.intermediate_values for trial in study_of(tmp_path).trials]

    second = Sweep(tmp_path)  # from an empty study
    assert states(tmp_path) == []
    for finished, each in zip(ended, losses, strict=True):
        trial, _ = second.begin()
        curve = [(step, loss) for step, loss in each.items() if finished or step == 10]
        score = each[STEPS] if finished else each[10]
        status = FINISHED if finished else PRUNED
        record = JobRecord(0, "", {}, "", status, curves={"val/loss": curve}, valLoss=score)
        trial.replay(record)
        second.tell(objective(record))
    assert second.begin()[1].params == following
    assert [trial.params for trial in study_of(tmp_path).trials] == asked
    assert [trial.intermediate_values for trial in study_of(tmp_path).trials] == had
    assert states(tmp_path) == ["COMPLETE"] * 12 + ["PRUNED", "RUNNING"]


def test_the_journal_is_json(five_jobs: Sweep) -> None:
    lines = (five_jobs.folder / JOURNAL).read_text().splitlines()
    assert len(lines) > 20 and all(isinstance(json.loads(line), dict) for line in lines)


def record(status: str, loss: float | None) -> JobRecord:
    return JobRecord(0, "", {}, "", status, valLoss=loss)


@pytest.mark.parametrize(
    ("kept", "value"),
    [
        (record(FINISHED, 1.5), 1.5),
        (record(PRUNED, 2.5), 2.5),
        (record(FAILED, 1.0), math.inf),  # it broke down after a good beginning
        (record(FINISHED, None), math.inf),
        (record(KILLED, 1.0), math.inf),
        (None, math.inf),
    ],
)
def test_what_a_sampler_is_told(kept: JobRecord | None, value: float) -> None:
    assert objective(kept) == value


def test_another_sweeper_has_no_trial(tmp_path: Path) -> None:
    assert trial_of({"_target_": "hydra...BasicSweeper", "max_batch_size": None}, tmp_path, 0) is None
    assert trial_of({"storage": None}, tmp_path, 0) is None
    assert trial_of({"storage": "sqlite:///study.db"}, tmp_path, 0) is None


def quadratic(folder: Path, jobs: int) -> None:
    study = optuna.create_study(
        storage=begin_study(str(folder)), sampler=optuna.samplers.RandomSampler(seed=0)
    )
    space = {
        "train.learningRate": FloatDistribution(-1, 1),
        "+data.price": optuna.distributions.CategoricalDistribution(["$1", "2"]),
    }
    for i in range(jobs):
        trial = study.ask(space)
        value = trial.params["train.learningRate"] ** 2 + 0.01 * (trial.params["+data.price"] == "2")
        study.tell(trial, math.inf if i == 1 else value)


@pytest.mark.slow
def test_importance_and_table(tmp_path: Path) -> None:
    quadratic(tmp_path, 30)
    text, files = study_results(tmp_path)
    assert text.startswith("Optuna: 30 trials, 0 pruned; importance for the loss (fANOVA): learningRate ")
    assert "price 0.0" in text
    assert files["importance.png"].startswith(b"\x89PNG")
    shares = dict(line.split(",") for line in files["importance.csv"].decode().splitlines()[1:])
    assert float(shares["train.learningRate"]) > 0.9 > 0.1 > float(shares["+data.price"])
    table = files["trials.csv"].decode().splitlines()
    assert table[0] == "trial,state,value,lastReport,+data.price,train.learningRate"
    assert len(table) == 31
    assert table[2].startswith("1,COMPLETE,inf,")


def test_too_few_trials_for_an_importance(tmp_path: Path) -> None:
    quadratic(tmp_path, 4)  # of which one has no loss
    text, files = study_results(tmp_path)
    assert text == "Optuna: 4 trials, 0 pruned"
    assert set(files) == {"trials.csv"}


def test_importance_where_nothing_matters(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path)
    assert all(sweep.job({STEPS: 1.0}) for _ in range(8))
    assert set(study_results(tmp_path)[1]) == {"trials.csv"}
