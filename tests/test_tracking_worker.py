"""The process that talks to MLflow, held to account in this one; what it writes, and what it clears up."""

import json
import math
import os
import queue
import subprocess
import sys

import pytest
from gptlab.tracking.writes import Writer
from test_tracking import client, make_run, track

from gptlab.runs.run import Run
from gptlab.tracking import orphans, worker
from gptlab.tracking.facts import PARAM_LENGTH, flat_params
from gptlab.tracking.messages import read_run, read_store, write_run, write_store
from gptlab.tracking.store import find_store
from gptlab.tracking.worker import Conversation
from gptlab.training.figures import loss_curve

# A conversation with a client that fails at will


class FlakyClient:
    def __init__(self, real) -> None:
        self.real = real
        self.down = False

    def __getattr__(self, name):
        method = getattr(self.real, name)

        def call(*args, **kwargs):
            if self.down:
                raise ConnectionError("the store is away")
            return method(*args, **kwargs)

        return call


@pytest.fixture
def flaky(mlflow_folder, monkeypatch):
    flaky = FlakyClient(client())
    monkeypatch.setattr(worker, "open_store", lambda store: flaky)
    return flaky


def converse(flaky: FlakyClient, run: Run, *actions) -> list[dict]:
    """The answers to a start and then each action: a message, a value for `flaky.down`, or TIME to flush."""
    replies: list[dict] = []
    process = orphans.own_process()
    place = write_store(find_store())
    start = {"do": "start", "store": place, "experiment": "e", "process": process, "command": "", "began": 1}
    waiting = iter([{**start, "run": write_run(run)}, *actions, None])

    class Inbox:
        def get(self, timeout):
            while isinstance(message := next(waiting), bool):
                flaky.down = message
            if message is TIME:
                raise queue.Empty
            return message

    Conversation(Inbox(), replies.append).hold()
    return replies


def metrics(step: int) -> dict:
    return {"do": "metrics", "rows": [[step, 1, {"train/loss": float(step)}]]}


TIME = {"do": "nothing"}
END = {"do": "end", "status": "FINISHED", "reason": "", "weights": None}


def test_what_could_not_be_written_is_written_at_the_end(flaky, mlflow_folder, monkeypatch):
    run = make_run(mlflow_folder)
    samples = {"do": "samples", "step": 2, "texts": ["hello"]}
    replies = converse(flaky, run, metrics(1), True, metrics(2), TIME, samples, metrics(3), False, END)
    assert [r["is"] for r in replies] == ["started", "failed", "writing", "ended"]
    assert replies[1]["message"] == "the store is away"
    assert replies[3] == {"is": "ended", "unsent": 0, "kept": True, "message": "", "registered": ""}
    history = flaky.get_metric_history(replies[0]["id"], "train/loss")
    assert [m.step for m in history] == [1, 2, 3]
    assert [f.path for f in flaky.list_artifacts(replies[0]["id"], "samples")] == ["samples/step-000002.txt"]


@pytest.mark.parametrize("away", [False, True], ids=["answers", "away at the last step"])
def test_what_a_run_has_to_show_is_written_at_its_last_step_and_checkpoint_and_once(
    flaky, mlflow_folder, monkeypatch, away
):
    run = make_run(mlflow_folder)
    (run.folder / "tokenizer.json").write_text("{}")
    written = []
    monkeypatch.setattr(Writer, "_curve", lambda self: written.append("curve"))
    monkeypatch.setattr(Writer, "_model", lambda self, path: written.append(path))
    monkeypatch.setattr(Writer, "_texts", lambda self, texts: written.extend(texts))
    samples = {"do": "samples", "step": 1, "texts": ["a"]}
    last = {"do": "checkpoint", "path": "checkpoints/step-000001", "removed": [], "last": True}
    weights = str(run.folder / "checkpoints/step-000001/weights.safetensors")
    actions = (TIME, away, metrics(1), {**last, "last": False}, TIME, {"do": "last_step"}, samples, last)
    converse(flaky, run, *actions)  # and is killed
    in_order = ["curve", "samples/step-000001.txt", "checkpoints/step-000001"]
    assert written == (in_order[1::-1] if away else in_order)
    written.clear()
    flaky.down = False
    converse(flaky, make_run(mlflow_folder), *actions, False, {**END, "weights": weights})
    assert written == ([in_order[1], in_order[0], in_order[2]] if away else in_order)


def test_an_end_with_much_to_write_says_that_it_goes_on(flaky, mlflow_folder):
    many = {"do": "metrics", "rows": [[step, 1, {"train/loss": 1.0}] for step in range(1, 2501)]}
    replies = converse(flaky, make_run(mlflow_folder), True, many, False, END)
    assert [r["is"] for r in replies] == ["started", "failed", "writing", "writing", "writing", "ended"]


def test_a_store_that_stays_away_ends_with_a_count_of_what_is_kept(flaky, mlflow_folder):
    replies = converse(flaky, make_run(mlflow_folder), TIME, True, metrics(1), metrics(2), END)
    assert replies[-1]["message"] == "the store is away"
    assert replies[-1]["unsent"] >= 2 and replies[-1]["kept"]


def test_a_run_whose_process_disappears_is_closed_as_killed(flaky, mlflow_folder):
    replies = converse(flaky, make_run(mlflow_folder), metrics(1))
    found = flaky.get_run(replies[0]["id"])
    assert found.info.status == "KILLED"
    assert found.data.metrics["train/loss"] == 1.0


def test_messages_carry_a_run_and_a_store_unchanged(tmp_path):
    run = make_run(tmp_path)
    assert read_run(json.loads(json.dumps(write_run(run)))) == run
    store = find_store(None, tmp_path)
    assert read_store(json.loads(json.dumps(write_store(store)))) == store


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
    assert set(orphans.close_orphans(client(), [experiment])) == {runs["gone"], runs["again"]}
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
    assert set(orphans.close_orphans(client(), [experiment])) == {runs["gone"], runs["unknown"]}
    assert client().get_run(runs["lives"]).info.status == "RUNNING"


def test_a_process_that_has_ended_is_gone_though_nobody_has_asked_for_it():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it stays listed
    assert orphans.process(ended.pid) is None
    ended.wait()


def test_the_lowest_validation_loss_so_far_is_a_metric(flaky, mlflow_folder):
    def losses(*points):
        return {"do": "metrics", "rows": [[step, 1, {"val/loss": loss}] for step, loss in points]}

    run = make_run(mlflow_folder)
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "val/loss": 3.0}\n{"step": 2, "val/loss": 2.0}\n')
    run_id = converse(flaky, run, losses((1, 3.0), (2, 2.0)), END)[0]["id"]
    run.id = run_id  # it goes on
    converse(flaky, run, losses((2, 2.0), (3, math.nan), (4, 2.5), (5, 1.0)), END)
    history = [(m.step, m.value) for m in flaky.get_metric_history(run_id, "val/best")]
    assert history == [(1, 3.0), (2, 2.0), (4, 2.0), (5, 1.0)]


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
    assert loss_curve(history, {"entropyPerWord": 1.0}, "a $title_").startswith(b"\x89PNG")
