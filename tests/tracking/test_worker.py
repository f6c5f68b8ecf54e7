"""The process that talks to MLflow, held to account in this one; what it writes, and what it clears up."""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from gptlab.runs.folder import RunFolder
from gptlab.tracking import logged_model, orphans, uploads
from gptlab.tracking.catch_up import close_abandoned, sync_folder
from gptlab.tracking.facts import PARAM_LENGTH, flat_params
from gptlab.tracking.store import Store, find_store
from gptlab.training.figures import loss_figure
from tests.tracked import client, make_run, track
from tests.tracking.conversing import END, TIME, converse, over, row, rows, sample


def test_what_could_not_be_written_is_written_at_the_end(flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    actions = [row(run, 1), True, row(run, 2), TIME, sample(run, 2, "hello"), row(run, 3), False]
    replies = converse(flaky, run, *actions, over(run), END)
    assert [r["is"] for r in replies if r["is"] != "writing"] == ["started", "failed", "ended"]
    assert [r["message"] for r in replies if r["is"] == "failed"] == ["the store is away"]
    assert replies[-1] == {"is": "ended", "message": "", "registered": ""}
    run_id = RunFolder(run.folder).id
    history = flaky.get_metric_history(run_id, "train/loss")
    assert [m.step for m in history] == [1, 2, 3]
    assert [f.path for f in flaky.list_artifacts(run_id, "samples")] == ["samples/step-000002.txt"]
    assert RunFolder(run.folder).identity()["synced"] is True


@pytest.mark.parametrize("away", [False, True], ids=["answers", "away at the last step"])
def test_what_a_run_has_to_show_is_written_at_its_last_step_and_checkpoint_and_once(
    flaky, mlflow_folder, monkeypatch, away
):
    config = {"train": {"numSteps": 1}}
    run = make_run(mlflow_folder, config=config)
    written = []
    monkeypatch.setattr(uploads, "log_curve", lambda *rest: written.append("curve"))
    monkeypatch.setattr(logged_model, "log_model", lambda client, run, path: written.append(path.name) or "")
    place = run.folder / "checkpoints/step-000001"
    last = [
        away,
        row(run, 1),
        {"do": "now"},
        sample(run, 1, "a"),
        lambda: place.mkdir(parents=True),
        {"do": "now"},
    ]
    converse(flaky, run, TIME, *last, TIME)  # and is killed
    assert written == (["curve"] if away else ["curve", "step-000001"])
    written.clear()
    flaky.down = False
    run.id = RunFolder(run.folder).id
    converse(flaky, run, over(run), END, fresh=False)
    assert written == ["curve", "step-000001"]


@pytest.mark.slow
def test_an_end_with_much_to_write_says_that_it_goes_on(flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    replies = converse(flaky, run, TIME, True, rows(run, 2500), TIME, False, over(run), END)
    assert [r["is"] for r in replies][-5:] == ["writing", "writing", "writing", "writing", "ended"]


def test_a_store_that_stays_away_ends_with_the_reason_and_all_is_in_the_folder(flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    replies = converse(flaky, run, TIME, True, row(run, 1), row(run, 2), over(run), END)
    assert replies[-1]["message"] == "the store is away"
    assert RunFolder(run.folder).identity()["synced"] is False


def test_a_run_whose_process_disappears_is_closed_as_killed(flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    converse(flaky, run, row(run, 1))
    found = flaky.get_run(RunFolder(run.folder).id)
    assert found.info.status == RunFolder(run.folder).status == "KILLED"
    assert found.data.metrics["train/loss"] == 1.0


def test_a_run_that_another_process_has_taken_up_is_not_closed(flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    converse(flaky, run, row(run, 1), TIME, lambda: RunFolder(run.folder).update(process="1 that-resumed-it"))
    assert RunFolder(run.folder).status == "RUNNING"
    assert flaky.get_run(RunFolder(run.folder).id).info.status == "RUNNING"
    RunFolder(run.folder).update(status="KILLED")
    assert sync_folder(run.folder).startswith("sent to ")


@pytest.mark.slow
def test_a_run_that_was_made_by_a_process_killed_before_it_could_say_so_is_found(flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    converse(flaky, run, row(run, 1))
    run_id = RunFolder(run.folder).id
    RunFolder(run.folder).update(id="", status="RUNNING")
    converse(flaky, run, over(run), END, fresh=False)
    assert RunFolder(run.folder).id == run_id
    assert len(flaky.search_runs(["1"])) == 1


def test_a_run_whose_making_was_not_answered_is_made_once(flaky, mlflow_folder):
    made, lost = flaky.real.create_run, iter([True])

    def create_run(*arguments, **more):
        found = made(*arguments, **more)
        if next(lost, False):
            raise ConnectionError("the answer was lost")
        return found

    flaky.real.create_run = create_run
    run = make_run(mlflow_folder)
    replies = converse(flaky, run, row(run, 1), TIME, over(run), END)
    assert [r["is"] for r in replies if r["is"] != "writing"] == ["failed", "started", "ended"]
    (found,) = flaky.search_runs(["1"])
    assert found.info.status == "FINISHED" and found.data.metrics["train/loss"] == 1.0


def test_messages_carry_a_store_unchanged(tmp_path):
    store = find_store(None, tmp_path)
    assert Store(**json.loads(json.dumps(asdict(store)))) == store


# Orphans


def test_only_runs_whose_process_is_gone_are_closed(mlflow_folder):
    here, mine = orphans.host(), orphans.own_process()
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = orphans.process(gone.pid)
    assert mark is not None and orphans.process(gone.pid) == mark
    gone.communicate(b"\n")
    again = f"{os.getpid()} another-start"  # this id, used by an earlier process
    experiment = client().create_experiment("e")
    runs = {
        name: client().create_run(experiment, tags={orphans.HOST: host, orphans.PROCESS: process}).info.run_id
        for name, host, process in [
            ("gone", here, mark),
            ("again", here, again),
            ("mine", here, mine),
            ("elsewhere", "elsewhere", mark),
        ]
    }
    client().set_terminated(client().create_run(experiment, tags={orphans.HOST: here}).info.run_id, "FAILED")
    assert set(close_abandoned(client(), find_store(), [experiment])) == {runs["gone"], runs["again"]}
    statuses = {name: client().get_run(run_id).info.status for name, run_id in runs.items()}
    assert statuses == {"gone": "KILLED", "again": "KILLED", "mine": "RUNNING", "elsewhere": "RUNNING"}


def test_what_mlflow_s_process_still_writes_is_nobody_else_s_to_close(mlflow_folder):
    experiment = client().create_experiment("e")
    tags = {orphans.HOST: orphans.host(), orphans.PROCESS: f"{os.getpid()} long-ago"}
    writes = {"lives": orphans.own_process(), "gone": f"{os.getpid()} long-ago-too", "unknown": ""}
    runs = {
        name: client().create_run(experiment, tags={**tags, orphans.WRITER: mark}).info.run_id
        for name, mark in writes.items()
    }
    assert set(close_abandoned(client(), find_store(), [experiment])) == {runs["gone"], runs["unknown"]}
    assert client().get_run(runs["lives"]).info.status == "RUNNING"


def test_a_process_that_has_ended_is_gone_though_nobody_has_asked_for_it():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it stays listed
    assert orphans.process(ended.pid) is None
    ended.wait()


@pytest.mark.slow
def test_the_lowest_validation_loss_so_far_is_a_metric(flaky, mlflow_folder):
    def losses(*points):
        return [row(run, step, **{"val/loss": loss}) for step, loss in points]

    run = make_run(mlflow_folder)
    converse(flaky, run, *losses((1, 3.0), (2, 2.0)), over(run, "KILLED"), END)
    run.id = RunFolder(run.folder).id  # it goes on
    converse(flaky, run, *losses((3, math.nan), (4, 2.5), (5, 1.0)), over(run), END, fresh=False)
    history = sorted((m.step, m.value) for m in flaky.get_metric_history(run.id, "val/best"))
    assert history == [(1, 3.0), (2, 2.0), (4, 2.0), (5, 1.0)]


@pytest.mark.slow
def test_the_next_run_closes_the_orphans_of_its_experiment(mlflow_folder):
    experiment = client().create_experiment("gptlab")
    tags = {orphans.HOST: orphans.host(), orphans.PROCESS: f"{os.getpid()} long-ago"}
    orphan = client().create_run(experiment, tags=tags).info.run_id
    track(make_run(mlflow_folder))
    assert client().get_run(orphan).info.status == "KILLED"


# Params and figure


def test_params_are_flat_clean_and_cut():
    config = {"a": {"b c": True, "d+e": [1, "x"]}, "empty": {}, "text": "", "long": "y" * 7000}
    params = flat_params(config)
    assert params["a.b c"] == "true"
    assert params["a.d_e"] == '[1, "x"]'
    assert params["empty"] == "{}"
    assert params["text"] == ""
    assert len(params["long"]) == PARAM_LENGTH and params["long"].endswith("…")


@pytest.mark.parametrize(
    "history", [{}, {"train/loss": [(1, math.nan)]}, {"val/loss": [(1, 2.0)]}, {"train/loss": [(1, 0.0)]}]
)
def test_a_figure_can_be_drawn_of_any_history(history):
    picture = loss_figure(history, {"entropyPerWord": 1.0}, "a $title_").png()
    assert picture.startswith(b"\x89PNG")
