"""Listeners: each is told everything, and none can stop the run or the others."""

import json
from pathlib import Path

import pytest

from gptlab.data.facts import DatasetFacts
from gptlab.errors import UserError
from gptlab.plugins.hookspecs import hookimpl
from gptlab.plugins.listeners import Listeners
from gptlab.runs.recording import FolderListener
from gptlab.runs.run import Run

HOOKS = ["gptlab_run_started", "gptlab_step_ended", "gptlab_run_ended"]


def make_run(folder: Path) -> Run:
    return Run("tiny", "", folder, {}, [], DatasetFacts("names", "gptlab", "0", 3, 2, 1), {})


class Recorder:
    """A listener to every hook that remembers, and raises `error` in the hook `where`."""

    def __init__(self, where="", error=None):
        self.calls, self._where, self._error = [], where, error

    def _told(self, hook, *what):
        self.calls.append((hook, *what))
        if hook == self._where:
            raise self._error

    @hookimpl
    def gptlab_run_started(self, run):
        self._told("gptlab_run_started", run)

    @hookimpl
    def gptlab_step_ended(self, run, step, metrics):
        self._told("gptlab_step_ended", run, step, metrics)

    @hookimpl
    def gptlab_run_ended(self, run, error):
        self._told("gptlab_run_ended", run, error)


def fire(listeners, run, error=None):
    """A whole run of two logged steps; what every listener should then have been told."""
    listeners.run_started(run)
    for step in (1, 2):
        listeners.step_ended(run, step, {"train/loss": 0.5 * step})
    listeners.run_ended(run, error)
    return [
        ("gptlab_run_started", run),
        ("gptlab_step_ended", run, 1, {"train/loss": 0.5}),
        ("gptlab_step_ended", run, 2, {"train/loss": 1.0}),
        ("gptlab_run_ended", run, error),
    ]


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ValueError("x")], ids=repr)
def test_every_listener_is_told_everything_in_order(tmp_path, error, capsys):
    listeners, recorders = Listeners(), [Recorder(), Recorder()]
    for i, recorder in enumerate(recorders):
        listeners.add(f"listener{i}", recorder)
    expected = fire(listeners, make_run(tmp_path), error)
    assert [recorder.calls for recorder in recorders] == [expected, expected]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("hook", HOOKS)
def test_one_that_raises_is_named_on_stderr_once_and_left_out_and_the_others_go_on(tmp_path, hook, capsys):
    listeners = Listeners()
    before, broken, after = Recorder(), Recorder(hook, ZeroDivisionError("by 0")), Recorder()
    for name, recorder in {"before": before, "broken": broken, "after": after}.items():
        listeners.add(name, recorder)
    expected = fire(listeners, make_run(tmp_path))
    assert before.calls == after.calls == expected
    assert broken.calls == expected[: [name for name, *_ in expected].index(hook) + 1]
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"gptlab: the listener 'broken' failed in {hook} and is left out from here on: ZeroDivisionError: by 0\n"
    )


def test_a_users_error_before_the_first_step_is_raised(tmp_path):
    listeners = Listeners()
    listeners.add("broken", Recorder("gptlab_run_started", UserError("no server")))
    with pytest.raises(UserError, match="no server"):
        listeners.run_started(make_run(tmp_path))


@pytest.mark.parametrize("hook", HOOKS[1:])
def test_a_users_error_later_does_not_stop_the_run(tmp_path, hook, capsys):
    listeners = Listeners()
    listeners.add("broken", Recorder(hook, UserError("the server went away")))
    fire(listeners, make_run(tmp_path))
    assert "'broken' failed" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_meant_to_end_the_program_does(tmp_path, error):
    listeners = Listeners()
    listeners.add("stops", Recorder("gptlab_step_ended", error()))
    with pytest.raises(error):
        fire(listeners, make_run(tmp_path))


def test_a_listener_may_listen_to_one_hook_and_take_fewer_arguments(tmp_path):
    class Steps:
        def __init__(self):
            self.steps = []

        @hookimpl
        def gptlab_step_ended(self, step):
            self.steps.append(step)

    listeners, steps = Listeners(), Steps()
    listeners.add("steps", steps)
    fire(listeners, make_run(tmp_path))
    assert steps.steps == [1, 2]


def test_the_folder_has_metrics_and_samples_as_soon_as_they_are_known(tmp_path, capsys):
    listeners, run = Listeners(), make_run(tmp_path)
    listeners.add("folder", FolderListener())
    listeners.run_started(run)
    rows = [(1, {"train/loss": 3.5}), (5, {"train/loss": 2.5, "val/loss": 2.75}), (6, {"train/loss": 2.25})]
    for step, metrics in rows:
        if "val/loss" in metrics:
            run.samples.append((step, ["the cat", "é 😀"]))
        run.metrics.append((step, metrics))
        listeners.step_ended(run, step, metrics)
        lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [{"step": s, **m} for s, m in run.metrics]
        assert (tmp_path / "samples.txt").exists() == bool(run.samples)
    assert (tmp_path / "samples.txt").read_text(encoding="utf-8") == "step 5: the cat\nstep 5: é 😀\n"
    assert capsys.readouterr() == ("", "")


def test_a_folder_that_went_away_does_not_stop_the_run(tmp_path, capsys):
    listeners, recorder = Listeners(), Recorder()
    listeners.add("folder", FolderListener())
    listeners.add("other", recorder)
    expected = fire(listeners, make_run(tmp_path / "gone"))
    assert recorder.calls == expected
    assert capsys.readouterr().err.startswith("gptlab: the listener 'folder' failed in gptlab_run_started")
