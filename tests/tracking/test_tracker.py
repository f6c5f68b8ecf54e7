"""Runs as MLflow has them afterwards: written through a Tracker, read back through MlflowClient."""

import json
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import pluggy
import pytest

from gptlab.errors import UserError
from gptlab.plugins.listeners import Listeners
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import Run
from gptlab.tracking import MLflowTracking, NoTracking
from gptlab.tracking.catch_up import sync_folder
from gptlab.tracking.named_stores import name_store
from gptlab.tracking.store import find_store, open_store
from gptlab.tracking.tracker import Tracker
from tests.processes import wait_until
from tests.tracked import client, followed, log, make_run, mlflow_processes, start_training, track


@pytest.mark.slow
def test_a_run_reads_back_whole(mlflow_folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    run = make_run(mlflow_folder)
    tracker = MLflowTracking(experimentName="grammar").start()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)
    for step in range(1, 1501):
        metrics = {"train/loss": 1.0 / step} | (
            {"val/loss": 0.5, "val/perplexity": math.inf} if step == 2 else {}
        )
        texts = {700: ["the cat runs", "à bientôt"], 1500: ["last"]}.get(step, [])
        log(listeners, run, step, metrics, *texts)
    listeners.run_ended(run, None)

    found = client().get_run(run.id)
    assert found.info.run_name == run.name
    assert found.info.status == "FINISHED"
    assert client().get_experiment(found.info.experiment_id).name == "grammar"
    assert found.data.params == {
        "seed": "1",
        "train.numSteps": "3000",
        "model.nEmbd": "16",
        "model.norm.name": "rmsnorm",
        "model.norm.eps": "1e-05",
        "resume": "null",
    }
    losses = client().get_metric_history(run.id, "train/loss")
    assert [(m.step, m.value) for m in losses] == [(step, 1.0 / step) for step in range(1, 1501)]
    assert [m.step for m in client().get_metric_history(run.id, "val/loss")] == [2]
    assert found.data.metrics["val/perplexity"] > 1e308
    counts = {name: found.data.metrics[f"parameters.{name}"] for name in ("total", "embeddings", "mlp")}
    assert counts == {"total": 11600, "embeddings": 9552, "mlp": 2048}
    assert found.data.tags["mlflow.note.content"] == "Is one layer enough?"
    assert found.data.tags["engine"] == "xla"
    assert found.data.tags["mlflow.user"] == found.info.user_id != ""

    (used,) = found.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("sentences", "0123abcd")
    assert json.loads(used.dataset.source) == {"uri": "gptlab"}
    assert json.loads(used.dataset.profile)["num_train"] == 29400
    assert json.loads(used.dataset.profile)["entropyPerWord"] == 1.9

    artifacts = mlflow_folder / "mlartifacts" / "grammar" / run.id / "artifacts"
    assert found.info.artifact_uri == artifacts.as_uri()
    assert sorted(str(p.relative_to(artifacts)) for p in artifacts.rglob("*") if p.is_file()) == [
        "config.yaml",
        "loss.png",
        "parameters.json",
        "samples/step-000700.txt",
        "samples/step-001500.txt",
        "tokenizer.json",
    ]
    assert (artifacts / "samples/step-000700.txt").read_text(encoding="utf-8") == "the cat runs\nà bientôt\n"
    assert (artifacts / "loss.png").read_bytes().startswith(b"\x89PNG")
    table = client().load_table(found.info.experiment_id, "parameters.json", [run.id])
    assert table.values.tolist()[0] == ["tokenEmbedding", "597 x 16", 9552, "embeddings"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (None, "FINISHED", None),
        (KeyboardInterrupt(), "KILLED", "interrupted"),
        (SystemExit(1), "KILLED", "interrupted"),
        (ValueError("the loss is nan at step 3"), "FAILED", "the loss is nan at step 3"),
        (ZeroDivisionError(), "FAILED", "ZeroDivisionError"),
    ],
    ids=["finished", "interrupted", "exited", "failed", "failed silently"],
)
def test_the_status_is_how_the_run_ended(error, status, reason, mlflow_folder):
    run = make_run(mlflow_folder)
    track(run, error)
    found = client().get_run(run.id)
    assert found.info.status == status
    assert found.data.tags.get("error") == reason
    note = f"Is one layer enough?\n\n{status}: {reason}" if reason else "Is one layer enough?"
    assert found.data.tags["mlflow.note.content"] == note
    assert found.info.end_time


def test_an_interrupt_before_the_run_exists_still_closes_it(mlflow_folder):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    followed(run, tracker).run_ended(run, KeyboardInterrupt())
    assert [r.info.status for r in client().search_runs(["1"])] == ["KILLED"]


def test_steps_may_begin_before_the_run_exists(mlflow_folder):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    tracker.wait_until_reachable()
    log(listeners, run, 1, {"train/loss": 2.5})
    listeners.run_ended(run, None)
    found = client().get_run(run.id)
    assert (found.info.status, found.data.metrics["train/loss"]) == ("FINISHED", 2.5)
    (loss,) = client().get_metric_history(run.id, "train/loss")
    assert found.info.start_time <= loss.timestamp, "the run began when its process said so"


def test_no_tracking_has_no_hooks_and_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = NoTracking().start()
    tracker.prepare()
    tracker.wait_until_reachable()
    tracker.wait_until_ready()
    pluggy.PluginManager("gptlab").register(tracker)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_does_not_fit_is_refused_before_mlflow_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"nonsense" * 100)
    run = make_run(tmp_path)
    began = time.monotonic()
    with pytest.raises(UserError, match="is not a store made by MLflow"):
        MLflowTracking(uri=f"sqlite:///{tmp_path}/mlflow.db").start().gptlab_run_started(run)
    assert time.monotonic() - began < 1.0


@pytest.mark.slow
def test_an_unreachable_server_is_refused_in_time(tmp_path):
    run = make_run(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        name_store(f"http://127.0.0.1:{port}")
        tracker = MLflowTracking(uri=f"http://127.0.0.1:{port}").start()
        tracker.prepare()
        began = time.monotonic()
        tracker.gptlab_run_started(run)
        with pytest.raises(UserError, match=f"127.0.0.1:{port} does not answer within.*tracking=none"):
            tracker.wait_until_ready(60)
        assert time.monotonic() - began < 10.0
    tracker.gptlab_run_ended(run, UserError("x"))  # and the end of it does nothing more


def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(mlflow_folder):
    number = client().create_experiment("gptlab")
    client().delete_experiment(number)
    with pytest.raises(UserError, match=f"restore -x {number}"):
        MLflowTracking().start().gptlab_run_started(make_run(mlflow_folder))


def test_an_experiment_of_a_server_is_refused(mlflow_folder):
    client().create_experiment("gptlab", artifact_location="mlflow-artifacts:/1")
    tracker = MLflowTracking().start()
    tracker.gptlab_run_started(make_run(mlflow_folder))
    with pytest.raises(UserError, match=r"behind it.*tracking\.uri=http"):
        tracker.wait_until_ready(120)


def kill_mlflow() -> set[int]:
    """Kill the process of MLflow's; the ids of what was killed."""
    killed = set(mlflow_processes())
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    return killed


def go_on_until(known: Callable[[], object], tracker: Tracker, run: Run, step: int) -> None:
    """Go on with the step until its tracker has seen what has become of MLflow's process."""

    def seen() -> object:
        tracker.gptlab_step_ended(run, step, {})
        return known()

    wait_until(seen)


def log_step(listeners: Listeners, run: Run, step: int) -> None:
    log(listeners, run, step, {"train/loss": 1.0 / step}, f"text {step}")


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False], ids=["started", "not yet"])
def test_another_process_of_mlflow_s_goes_on_where_one_was_killed(mlflow_folder, capsys, known):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    if known:
        tracker.wait_until_ready(120)
    log_step(listeners, run, 1)
    killed = kill_mlflow()
    assert len(killed) == 1
    go_on_until(lambda: set(mlflow_processes()) - killed, tracker, run, 1)
    log_step(listeners, run, 2)
    listeners.run_ended(run, None)
    error = capsys.readouterr().err
    assert error.endswith("its process has ended; another one goes on\n") and error.count("\n") == 1
    (found,) = client().search_runs(["1"])
    assert (found.info.run_id, found.info.status) == (run.id, "FINISHED")
    assert [m.step for m in client().get_metric_history(run.id, "train/loss")] == [1, 2]
    assert len(client().list_artifacts(run.id, "samples")) == 2


@pytest.mark.slow
def test_a_process_of_mlflow_s_killed_at_the_end_is_followed_by_one_that_ends_the_run(mlflow_folder):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)
    log_step(listeners, run, 1)
    assert len(kill_mlflow()) == 1
    listeners.run_ended(run, ValueError("why"))
    found = client().get_run(run.id)
    assert (found.info.status, found.data.tags["error"]) == ("FAILED", "why")


@pytest.mark.slow
def test_ctrl_c_while_the_end_is_written_says_what_is_left_to_do(mlflow_folder, capsys):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)
    log_step(listeners, run, 1)
    (mlflow,) = mlflow_processes()
    os.kill(mlflow, signal.SIGSTOP)
    try:
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            listeners.run_ended(run, None)
    finally:
        os.kill(mlflow, signal.SIGCONT)
    told = "its end was not waited for. The rest is kept; to send it later: python -m gptlab sync run\n"
    assert capsys.readouterr().err.endswith(told)
    sync_folder(run.folder)  # whoever comes first
    assert client().get_run(run.id).info.status == "FINISHED"


@pytest.mark.slow
def test_what_is_refused_after_step_1_is_kept_and_said_with_the_command_that_sends_it(mlflow_folder, capsys):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    number = client().create_experiment("gptlab")
    client().delete_experiment(number)  # before MLflow's process, which is being loaded, has asked for it
    log_step(listeners, run, 1)
    go_on_until(lambda: "is deleted" in capsys.readouterr().err, tracker, run, 1)
    log_step(listeners, run, 2)
    listeners.run_ended(run, None)
    told = capsys.readouterr().err
    assert "could not be written whole: the MLflow experiment 'gptlab' is deleted" in told
    assert told.endswith("python -m gptlab sync run\n") and told.count("\n") == 1
    client().restore_experiment(number)
    assert sync_folder(run.folder).startswith("sent to ")
    assert [m.step for m in client().get_metric_history(RunFolder(run.folder).id, "train/loss")] == [1, 2]


@pytest.mark.slow
def test_the_training_goes_on_if_mlflow_s_process_dies_again_and_again(mlflow_folder, capsys):
    run = make_run(mlflow_folder)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)
    for step in (1, 2):
        log_step(listeners, run, step)
        killed = kill_mlflow()
        go_on_until(lambda killed=killed: set(mlflow_processes()) - killed, tracker, run, step)
    log_step(listeners, run, 3)
    kill_mlflow()
    told = "its process has ended. The rest is kept; to send it later: python -m gptlab sync run\n"
    go_on_until(lambda: capsys.readouterr().err.endswith(told), tracker, run, 3)
    log_step(listeners, run, 4)
    listeners.run_ended(run, None)
    assert capsys.readouterr().err.endswith(f"the run could not be written whole: {told}")
    assert run.id in sync_folder(run.folder)
    assert [m.step for m in client().get_metric_history(run.id, "train/loss")] == [1, 2, 3, 4]
    track(make_run(mlflow_folder))  # and the next one has a new process


# Whole processes


@pytest.mark.slow
def test_a_fresh_store_is_made_and_nothing_is_printed(tmp_path):
    output, errors = start_training(tmp_path).communicate(timeout=120)
    assert (len(output.split()), errors) == (1, "")
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert open_store(find_store(None, tmp_path)).get_run(output.strip()).info.status == "FINISHED"


@pytest.mark.slow
def test_sigkill_loses_nothing_that_was_reported(mlflow_folder):
    process = start_training(mlflow_folder, steps=10_000, pause=0.01)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: client().get_run(run_id).info.status == "KILLED")
    assert len(client().get_metric_history(run_id, "train/loss")) > 10
