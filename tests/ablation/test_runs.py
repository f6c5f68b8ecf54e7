"""The runs of an ablation: known by what sets their jobs apart, read from their folders, and never trained twice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gptlab.ablation.result import Costs
from gptlab.ablation.runs import Runs, curve_in, seconds_in, trained
from gptlab.runs.files import CONFIG, METRICS
from gptlab.sweeps.record import FAILED, KILLED, JobRecord
from tests.sweep_records import record

COSTS = Costs(100, 40, 1e6, 0.0)
SWEPT = ("model/norm", "seed")
ROWS = [
    {"step": 10, "train/tokens": 30.0, "train/tokensPerSecond": 10.0},
    {"step": 20, "train/tokens": 30.0, "train/tokensPerSecond": 300.0, "val/loss": 2.5},
    {"step": 40, "train/tokens": 30.0, "train/tokensPerSecond": 300.0, "val/loss": 2.25},
]


@dataclass(frozen=True)
class FakeCell:
    """What a Runs asks of a cell."""

    overrides: tuple[str, ...]
    setting: tuple[str, ...] = ()
    costs: Costs = COSTS
    unit: float = 1.0

    def job(self, seed: int) -> list[str]:
        return [*self.overrides, f"seed={seed}"]

    def key(self, seed: int) -> str:
        return f"{'|'.join(self.overrides)}|{seed}"


BASELINE = FakeCell(("model.nEmbd=4", "model/norm=rmsnorm"))
ARM = FakeCell(("model.nEmbd=4", "model/norm=layernorm"), ("train.learningRate=0.1",))


def job(
    sweep: Path, number: int, cell: FakeCell, seed: int, loss: float | None = 2.25, **changes: Any
) -> None:
    """The folder of a job that is over."""
    norm = cell.overrides[1].partition("=")[2]
    made = replace(record(number, {"model/norm": norm, "seed": str(seed)}, loss), **changes)
    made.write(sweep / made.folder)
    (sweep / made.folder / METRICS).write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))


def runs(sweep: Path, before: dict[str, Path] | None = None) -> Runs:
    return Runs(sweep, SWEPT, before or {})


def missing(found: Runs, *wanted: tuple[FakeCell, int]) -> Sequence[Any]:
    return found.missing(wanted)  # type: ignore[arg-type]


def test_what_is_there_is_not_missing_whatever_of_a_job_is_no_swept_key(folder: Path) -> None:
    sweep = folder / "sweep"
    job(sweep, 0, BASELINE, 0)
    job(sweep, 1, ARM, 1)
    found = runs(sweep)
    assert missing(found, (BASELINE, 0), (ARM, 1)) == []
    assert missing(found, (BASELINE, 1), (ARM, 0), (BASELINE, 1)) == [(BASELINE, 1), (ARM, 0)]  # each once
    job(sweep, 2, BASELINE, 1)
    assert missing(found, (BASELINE, 1)) == [(BASELINE, 1)]  # until it is read
    found.read()
    assert missing(found, (BASELINE, 1)) == []


def test_a_job_that_was_killed_is_to_be_gone_on_with_and_one_that_failed_is_not(folder: Path) -> None:
    sweep = folder / "sweep"
    job(sweep, 0, BASELINE, 0, status=KILLED)
    job(sweep, 1, BASELINE, 1, None, status=FAILED, reason="the loss became nan")
    found = runs(sweep)
    assert missing(found, (BASELINE, 0), (BASELINE, 1)) == [(BASELINE, 0)]
    (run,) = found.setting(BASELINE, [0, 1]).runs  # type: ignore[arg-type]
    assert (run.seed, run.status, run.loss, run.reason) == (1, FAILED, None, "the loss became nan")


def test_a_setting_has_the_seeds_that_are_there_with_their_curves_and_seconds(folder: Path) -> None:
    sweep = folder / "sweep"
    for number, (seed, loss) in enumerate([(3, 2.5), (1, 2.25)]):
        job(sweep, number, ARM, seed, loss)
    found = runs(sweep).setting(ARM, [1, 2, 3])  # type: ignore[arg-type]
    assert found.losses == {1: 2.25, 3: 2.5} and found.tuned == {"train.learningRate": "0.1"}
    assert [run.folder for run in found.runs] == ["sweep/1", "sweep/0"]  # from the current folder
    assert found.runs[0].curve == [(20, 2.5), (40, 2.25)]
    assert found.costs == replace(COSTS, seconds=4.0)
    assert runs(sweep).setting(ARM, [7]).runs == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "status", "loss"),
    [
        ({}, "FINISHED", 2.25),
        ({"diverged": "the loss rose"}, "DIVERGED", None),
        ({"status": FAILED, "reason": "nan"}, FAILED, None),
        ({"status": FAILED, "diverged": "the loss rose"}, FAILED, None),
        ({"valLoss": None}, "FINISHED", None),
    ],
)
def test_a_run_that_broke_down_has_no_loss(
    folder: Path, changes: dict[str, Any], status: str, loss: float | None
) -> None:
    made: JobRecord = replace(record(0, {"seed": "0"}, 2.25), **changes)
    run = trained(made, folder).run
    assert (run.status, run.loss) == (status, loss)
    assert run.reason == (changes.get("diverged") or changes.get("reason", ""))


def test_the_loss_is_the_last_and_not_the_best_one(folder: Path) -> None:
    made = replace(record(0, {"seed": "0"}, 2.25), bestValLoss=2.0, rank="best")
    assert trained(made, folder).run.loss == 2.25


def test_seconds_are_those_of_training_at_the_usual_speed() -> None:
    rows: Any = [(row["step"], row) for row in ROWS]
    assert seconds_in(rows) == 40 * 30 / 300  # the first logged step, which compiled, is not the usual one
    assert curve_in(rows) == [(20, 2.5), (40, 2.25)]
    assert seconds_in([]) == seconds_in([(1, {"val/loss": 2.0})]) == 0.0


def test_a_run_of_an_earlier_sweep_is_taken_for_an_equal_one_and_said_to_be(folder: Path) -> None:
    earlier, sweep = folder / "earlier", folder / "sweep"
    job(earlier, 5, BASELINE, 0)
    (earlier / "5" / CONFIG).write_text("seed: 0\n")
    found = runs(sweep, {BASELINE.key(0): earlier / "5", ARM.key(0): folder / "gone"})
    assert missing(found, (BASELINE, 0), (BASELINE, 1), (ARM, 0)) == [(BASELINE, 1), (ARM, 0)]
    (run,) = found.setting(BASELINE, [0]).runs  # type: ignore[arg-type]
    assert run.reused and (run.loss, run.folder) == (2.25, "earlier/5")
    # One of the ablation's own is read as its own: its record says how it ended.
    assert missing(runs(sweep, {BASELINE.key(0): sweep / "5"}), (BASELINE, 0)) == [(BASELINE, 0)]
    job(sweep, 0, BASELINE, 0, 2.5)
    (own,) = runs(sweep, {BASELINE.key(0): earlier / "5"}).setting(BASELINE, [0]).runs  # type: ignore[arg-type]
    assert own.loss == 2.5 and not own.reused
