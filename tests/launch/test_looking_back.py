"""A run whose schedule looks back: its rates follow from its evaluations, and are the same ones when it is resumed."""

import json
from pathlib import Path

import pytest

from gptlab.checks import check_names
from gptlab.cli import main
from gptlab.plugins.loading import load_plugins
from tests.plugin_texts import stand_beside
from tests.resuming import TINY, as_killed, assert_same_end, logged, write_corpus

RUN = [
    *(*TINY, "engine=scalar", "train.numSteps=20", "train.logEvery=1", "train.evalEvery=2"),
    *("schedule=plateau", "schedule.patience=0", "schedule.threshold=0.02", "train.learningRate=0.05"),
    *("checkpoint.every=5", "checkpoint.keep=9"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_rates_fall_where_it_gets_no_better_and_are_the_same_when_it_goes_on(place: Path) -> None:
    assert main([*RUN, "hydra.run.dir=whole"]) == 0
    rows, rate, best = logged(Path("whole")), 0.05, float("inf")
    for row in rows:
        assert row["train/learningRate"] == rate
        if "val/loss" in row:
            improved = row["val/loss"] < best * (1 - 0.02)
            best, rate = (row["val/loss"], rate) if improved else (best, rate * 0.5)
    assert rate <= 0.0125, "it never looked back"
    for step in (5, 10, 15):
        copy = as_killed(Path("whole"), Path(f"killed-{step}"), step)
        assert main([f"resume={copy}"]) == 0
        assert_same_end(copy, Path("whole"))


@pytest.mark.slow
def test_the_evaluation_at_which_a_run_was_stopped_does_not_count(place: Path) -> None:
    assert main([*RUN, "hydra.run.dir=whole"]) == 0
    assert main([*RUN, "train.budget=0.000001s", "hydra.run.dir=stopped"]) == 0
    assert logged(Path("stopped"))[-1]["step"] == 1
    assert main(["resume=stopped", "train.budget=null"]) == 0
    rates = [[row["train/learningRate"] for row in logged(Path(run))] for run in ("stopped", "whole")]
    assert rates[0] == rates[1]


@pytest.mark.slow
def test_a_run_of_which_an_evaluation_is_lost_is_not_gone_on_with(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "hydra.run.dir=whole"]) == 0
    copy = as_killed(Path("whole"), Path("copy"), 10, torn=b"")
    lines = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line if json.loads(line)["step"] != 4 else line.replace("{", " ", 1) for line in lines]
    (copy / "metrics.jsonl").write_text("".join(kept))
    assert main(["resume=copy"]) == 2
    assert "lacks the one at step 4" in capsys.readouterr().err


@pytest.mark.slow
def test_without_evaluations_there_is_nothing_to_see(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "train.evalEvery=0"]) == 2
    assert "schedule=plateau looks at evaluations: got train.evalEvery=0" in capsys.readouterr().err


REMEMBERING = '''
from dataclasses import dataclass, field
import gptlab

@dataclass(frozen=True)
class Remembering(gptlab.LookingBack):
    """Halves the rate at each question. asked: how often it was."""

    asked: list = field(default_factory=list)

    def after(self, share):
        return 1.0

    def look(self, evaluated):
        self.asked.append(1)
        return 0.5 ** len(self.asked)

@gptlab.hookimpl
def gptlab_register_schedules(register):
    register("remembering", Remembering)
'''


def test_check_finds_a_schedule_that_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_beside(tmp_path, monkeypatch, remembering=REMEMBERING)
    failed = [c for c in check_names(load_plugins(quiet=True), ["remembering"]) if not c.passed]
    assert [check.what for check in failed] == ["looks back at losses alone"]
    assert "a resumed run would not go on as before" in failed[0].problem
