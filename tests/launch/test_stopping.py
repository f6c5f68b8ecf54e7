"""Runs that end before their last step, and well: a listener asks for it, or the time is over."""

import json
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.data.facts import DatasetFacts
from gptlab.errors import UserError
from gptlab.launch.budget import Budget
from gptlab.runs.checkpoint.folder import checkpoint_folders
from gptlab.runs.run import Run
from tests.plugin_texts import stand_beside
from tests.resuming import TINY, assert_same_end, logged, write_corpus

RUN = [*TINY, "engine=scalar", "train.numSteps=12", "train.logEvery=3", "train.evalEvery=4"]
STOPPING = '''
"""Stops runs."""
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Stopping:
    """Asks a run to stop at a logged step. at: which."""

    at: int = 3

    def begin(self, run):
        return Asking(self.at)


class Asking:
    def __init__(self, at):
        self.at = at

    @gptlab.hookimpl
    def gptlab_run_started(self, run):
        if self.at == 0:
            run.stop("before step 1")

    @gptlab.hookimpl
    def gptlab_step_ended(self, run, step):
        if step == self.at:
            run.stop("enough\\n of it")
            run.stop("a second reason")


@gptlab.hookimpl
def gptlab_register_listeners(register):
    register("stopping", Stopping)
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_corpus(tmp_path)
    return stand_beside(tmp_path, monkeypatch, stopping=STOPPING)


def told(run: Path) -> dict[str, object]:
    return json.loads((run / "run.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("at", "last"), [(0, 1), (3, 4), (4, 4), (8, 8), (12, 12)])
def test_it_ends_with_an_evaluation_samples_and_weights(place: Path, at: int, last: int) -> None:
    arguments = ["listeners=[stopping]", f"listener.stopping.at={at}", "hydra.run.dir=run"]
    assert main([*RUN, *arguments]) == 0
    rows = logged(Path("run"))
    assert [row["step"] for row in rows] == [s for s in (1, 3, 4, 6, 8, 9, 12) if s < last] + [last]
    assert "val/loss" in rows[-1]
    assert f"step {last}: " in Path("run/samples.txt").read_text()
    assert [f.name for f in checkpoint_folders(Path("run"))] == [f"step-{last:06d}"]
    assert told(Path("run"))["status"] == "FINISHED"
    reason = {0: "before step 1", 12: None}.get(at, "enough of it")
    assert told(Path("run")).get("stopped") == reason


@pytest.mark.slow
def test_without_held_out_documents_it_ends_with_samples_too(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["listeners=[stopping]", "listener.stopping.at=3", "data.valFraction=0", "progress=auto"]
    assert main([*RUN, *arguments, "hydra.run.dir=run"]) == 0
    assert "step 4: " in Path("run/samples.txt").read_text()
    assert "stopped after step 4: enough of it" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_gone_on_with_is_the_run_that_was_never_stopped(place: Path) -> None:
    for evaluated in ("4", "0"):
        run = [*RUN, f"train.evalEvery={evaluated}", "train.logEvery=1", "checkpoint.keep=9"]
        assert main([*run, f"hydra.run.dir=whole-{evaluated}"]) == 0
        folder = Path(f"stopped-{evaluated}")
        assert main([*run, "listeners=[stopping]", f"hydra.run.dir={folder}"]) == 0
        assert logged(folder)[-1]["step"] == 4
        assert main([f"resume={folder}", "listeners=[]"]) == 0
        assert (told(folder)["status"], told(folder)["stopped"]) == ("FINISHED", "")
        if evaluated == "4":
            assert_same_end(folder, Path("whole-4"))
        else:  # the end at which it was stopped has had an evaluation, and samples
            whole = {row["step"]: row for row in logged(Path("whole-0"))}
            for row in logged(folder):
                extra = {"val/loss", "val/perplexity"} if row["step"] == 4 else set()
                assert {k: v for k, v in row.items() if k not in extra} == whole[row["step"]]


@pytest.mark.slow
def test_a_run_whose_time_is_over_ends_and_goes_on_with_more_of_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*RUN, "train.budget=0.000001s", "hydra.run.dir=run"]) == 0
    assert [row["step"] for row in logged(Path("run"))] == [1]
    assert told(Path("run"))["stopped"] == "train.budget=0.000001s is spent"
    assert main(["resume=run", "train.budget=1h"]) == 0
    assert logged(Path("run"))[-1]["step"] == 12 and told(Path("run"))["stopped"] == ""
    assert main([*RUN, "train.budget=soon"]) == 2
    assert "train.budget must be a time such as 90s, 2m or 1h: got soon" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5m", 90), ("2min", 120), ("1h", 3600), ("7", 7)]
)
def test_a_budget_counts_from_where_training_begins(text: str, seconds: float) -> None:
    run = Run("", "", Path(), {}, [], DatasetFacts("names", "gptlab", "0", 3, 2, 1), {})
    now = 1000.0
    budget = Budget(run, text, before=3.0, clock=lambda: now)
    now += 10000
    assert not budget.stops() and budget.seconds == 3.0
    budget.begin()
    now += seconds - 3.5
    assert not budget.stops()
    now += 0.5
    assert budget.stops() and run.stopped and budget.seconds == seconds


@pytest.mark.parametrize("text", ["", "0s", "-1s", "1 year", "1e400", "soon", "1s2"])
def test_what_is_no_time_is_refused(text: str) -> None:
    run = Run("", "", Path(), {}, [], DatasetFacts("names", "gptlab", "0", 3, 2, 1), {})
    with pytest.raises(UserError, match=r"^train\.budget must be a time such as 90s"):
        Budget(run, text)
