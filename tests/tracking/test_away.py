"""A store that goes away, comes back, or never does; a disk that is full. The training goes on."""

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.runs.folder import RunFolder
from gptlab.tracking import catch_up, sync, worker
from gptlab.tracking.catch_up import UNSENT, sync_folder
from gptlab.tracking.store import Store, find_store
from tests.processes import wait_until
from tests.tracked import FlakyClient, client, make_run, server, start_training
from tests.tracking.conversing import END, TIME, converse, over, row, rows, sample


def steps(run_id: str, key: str = "train/loss") -> list[int]:
    return sorted(metric.step for metric in client().get_metric_history(run_id, key))


# The conversation and the verb, with a client that fails at will


@pytest.mark.slow
def test_what_is_missing_is_sent_once_however_often_it_is_sent(
    flaky: FlakyClient, mlflow_folder: Path
) -> None:
    run = make_run(mlflow_folder)
    away = [True, row(run, 2), sample(run, 2, "hello"), row(run, 3), over(run)]
    replies = converse(flaky, run, row(run, 1), TIME, *away, END)
    run_id = RunFolder(run.folder).id
    assert replies[-1]["message"] == "the store is away"
    assert client().get_run(run_id).info.status == "RUNNING"
    flaky.down = False
    for _ in range(2):
        assert run_id in sync_folder(run.folder)
        found = client().get_run(run_id)
        assert (found.info.status, steps(run_id)) == ("FINISHED", [1, 2, 3])
        assert found.data.params["model.nEmbd"] == "16"
        assert [f.path for f in client().list_artifacts(run_id, "samples")] == ["samples/step-000002.txt"]
        assert "nothing left to send" in sync_folder(run.folder)
        RunFolder(run.folder).update(synced=False)  # as if the first one had never answered
    assert client().get_run(run_id).info.end_time == 1_000_000
    times = {m.step: m.timestamp for m in client().get_metric_history(run_id, "train/loss")}
    assert times[1] > 1_000_000, "it was sent while the run went on"
    assert times[1] <= times[2] <= times[3]


# What an earlier gptlab kept of a run that its store never had, and of one that it had.
OLD_HEAD: dict[str, Any] = {"format": 1, "experiment": "e", "process": "", "command": "c", "began": 1}
OLD_WRITES = [
    {"points": [["train/loss", 2.0, 5, 2]]},
    {"write": "text", "path": "samples/step-000002.txt", "text": "old\n"},
    {"write": "status", "status": "FINISHED", "ended": 1_000_000},
]


@pytest.mark.slow
@pytest.mark.parametrize("started", [True, False])
def test_what_an_earlier_version_kept_is_sent(flaky: FlakyClient, mlflow_folder: Path, started: bool) -> None:
    run = make_run(mlflow_folder)
    run_id = converse(flaky, run, row(run, 1))[0]["id"] if started else ""
    told = {"id": run_id, "name": run.name, "description": run.description, "tags": run.tags}
    told |= {"matrices": [vars(matrix) for matrix in run.matrices], "dataset": vars(run.dataset)}
    store = {"uri": find_store().uri, "artifacts": None, "database": None}
    lines = [{**OLD_HEAD, "store": store, "run": told, "started": started}, *OLD_WRITES]
    (run.folder / UNSENT).write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run.folder / "run.json").write_text(json.dumps({"id": run_id, "name": run.name, "status": "FINISHED"}))
    if not started:
        row(run, 1)()
    row(run, 2)()
    sample(run, 2, "old")()
    sync_folder(run.folder)
    assert not (run.folder / UNSENT).exists()
    found = client().get_run(RunFolder(run.folder).id)
    assert (found.info.status, found.info.end_time) == ("FINISHED", 1_000_000)
    assert steps(found.info.run_id) == [1, 2]
    assert found.data.metrics["parameters.total"] == 11600
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "samples/step-000002.txt").read_text() == "old\n"
    times = [metric.timestamp for metric in client().get_metric_history(found.info.run_id, "train/loss")]
    assert times == sorted(times)
    if not started:
        assert found.info.start_time == 1, "it began when its process said so"
        assert times == [500_000, 1_000_000], "what is sent later was logged between the start and the end"


@pytest.mark.slow
def test_what_is_still_refused_stays(
    flaky: FlakyClient, mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(mlflow_folder)
    converse(flaky, run, TIME, True, row(run, 1), over(run), END)
    monkeypatch.setattr(catch_up, "open_here", lambda store: flaky)
    with pytest.raises(UserError, match=r"the store is away.*stays in"):
        sync_folder(run.folder)
    flaky.down = False
    sync_folder(run.folder)
    assert steps(RunFolder(run.folder).id) == [1]


@pytest.mark.slow
def test_ctrl_c_in_sync_loses_nothing(
    flaky: FlakyClient,
    mlflow_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(mlflow_folder)
    converse(flaky, run, TIME, True, rows(run, 2500), over(run), END)
    flaky.down = False
    written, pressed = flaky.real.log_batch, iter([signal.SIGINT])

    def log_batch(*arguments: Any, **more: Any) -> None:
        written(*arguments, **more)
        for number in pressed:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(catch_up, "open_here", lambda store: flaky)
        patch.setattr(flaky.real, "log_batch", log_batch)
        assert main(["sync", "run"]) == 130
    assert capsys.readouterr().err == "gptlab: stopped by Ctrl-C\n"
    assert main(["sync", "run"]) == 0
    assert steps(RunFolder(run.folder).id) == list(range(1, 2501))


@pytest.mark.slow
def test_what_a_server_has_taken_and_not_kept_is_sent_again(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As something else may answer for it, with a 200 and nothing in it."""
    real = FlakyClient(client())
    monkeypatch.setattr(worker, "connect", lambda store: real)
    monkeypatch.setattr(sync, "answers", lambda store, timeout: True)
    run = make_run(mlflow_folder)
    written, ended = real.real.log_batch, real.real.set_terminated
    kept = iter([True, False, True])  # of the batches of rows; the first one is of params

    def log_batch(run_id: str, metrics: Any = (), **more: Any) -> None:
        if not metrics or metrics[0].key != "train/loss" or next(kept, True):
            written(run_id, metrics=metrics, **more)

    real.real.log_batch = log_batch
    store = Store("http://127.0.0.1:9")
    late = [row(run, 2), TIME, row(run, 3), TIME]
    replies = converse(real, run, row(run, 1), TIME, *late, over(run), END, store=store)
    assert replies[-1]["message"] == ""
    run_id = RunFolder(run.folder).id
    assert steps(run_id) == [1, 2, 3]

    # A file of the start, of which only another process sees that it is not there.
    artifacts = Path(client().get_run(run_id).info.artifact_uri.removeprefix("file://"))
    (artifacts / "config.yaml").unlink()
    converse(real, run, over(run), END, fresh=False, store=store)
    assert (artifacts / "config.yaml").read_bytes() == (run.folder / "config.yaml").read_bytes()

    # And an end that it does not keep is none.
    real.real.set_terminated = lambda *rest, **more: None
    RunFolder(run.folder).update(synced=False, status="FAILED")
    replies = converse(real, run, over(run, "FAILED"), END, fresh=False, store=store)
    assert "has not kept the run's status, FAILED" in replies[-1]["message"]
    assert RunFolder(run.folder).identity()["synced"] is False
    real.real.set_terminated = ended
    converse(real, run, over(run, "FAILED"), END, fresh=False, store=store)
    assert client().get_run(run_id).info.status == "FAILED"


@pytest.mark.slow
def test_a_batch_whose_answer_is_lost_is_not_written_again(flaky: FlakyClient, mlflow_folder: Path) -> None:
    written = flaky.real.log_batch
    lost = iter([True, True])
    sent: list[int] = []  # an SQL store drops what it has to the bit; other stores do not

    def log_batch(run_id: str, metrics: Any = (), **more: Any) -> None:
        written(run_id, metrics=metrics, **more)
        losses = [metric.step for metric in metrics if metric.key == "train/loss"]
        sent.extend(losses)
        if losses and next(lost, False):
            raise ConnectionError("the answer was lost")

    flaky.real.log_batch = log_batch
    run = make_run(mlflow_folder)
    actions = [rows(run, 2500), TIME, TIME, TIME, row(run, 2501), over(run), END]
    replies = converse(flaky, run, TIME, *actions)
    assert [r["is"] for r in replies].count("failed") == 2
    assert replies[-1]["message"] == ""
    assert sent == steps(replies[0]["id"]) == list(range(1, 2502))


@pytest.mark.slow
def test_a_run_that_the_server_never_had_is_made_when_it_is_sent(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = FlakyClient(client())
    away.down = True
    monkeypatch.setattr(worker, "connect", lambda store: away)
    run = make_run(mlflow_folder)
    nobody = Store("http://127.0.0.1:9")
    replies = converse(away, run, row(run, 1), row(run, 2), over(run), END, store=nobody)
    assert [r["is"] for r in replies if r["is"] != "writing"] == ["failed", "ended"]
    assert RunFolder(run.folder).id == ""

    RunFolder(run.folder).update(store=find_store().address)
    told = sync_folder(run.folder)
    run_id = json.loads((run.folder / "run.json").read_text())["id"]
    assert run_id in told
    found = client().get_run(run_id)
    assert (found.info.status, steps(run_id)) == ("FINISHED", [1, 2])
    assert found.info.start_time == 1, "it began when its process said so"
    assert found.data.params["model.nEmbd"] == "16"


@pytest.mark.slow
def test_the_next_run_sends_what_an_earlier_one_could_not(flaky: FlakyClient, mlflow_folder: Path) -> None:
    runs = mlflow_folder / "runs"
    runs.mkdir()
    early = make_run(runs)
    converse(flaky, early, row(early, 1), TIME, True, row(early, 2), over(early), END)
    RunFolder(early.folder).update(process="1 long-ago")
    elsewhere = runs / "elsewhere"
    shutil.copytree(early.folder, elsewhere)
    RunFolder(elsewhere).update(store="http://somebody-else.example", id="")
    flaky.down = False
    late = make_run(mlflow_folder)
    converse(flaky, late, row(late, 1), over(late), END)
    found = client().get_run(RunFolder(early.folder).id)
    assert (found.info.status, steps(found.info.run_id)) == ("FINISHED", [1, 2])
    assert RunFolder(early.folder).identity()["synced"] is True
    assert RunFolder(elsewhere).identity()["synced"] is False, (
        "what belongs in another store stays out of this one"
    )


@pytest.mark.slow
def test_a_resumed_run_sends_what_the_earlier_process_kept(flaky: FlakyClient, mlflow_folder: Path) -> None:
    run = make_run(mlflow_folder)
    actions = [row(run, 1), TIME, True, row(run, 2), row(run, 3), over(run), END]
    run.id = run_id = converse(flaky, run, *actions)[0]["id"]
    flaky.down = False
    converse(flaky, run, row(run, 4), over(run), END, fresh=False)
    assert steps(run_id) == [1, 2, 3, 4]
    assert client().get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1}\n{"points": [[1]]}', "5"])
def test_a_file_that_gptlab_did_not_write_is_a_mistake(mlflow_folder: Path, content: str) -> None:
    run = make_run(mlflow_folder)
    (run.folder / "run.json").write_text('{"id": "", "name": "n"}')
    (run.folder / UNSENT).write_text(content)
    with pytest.raises(UserError, match=f"{UNSENT} is not as gptlab wrote it"):
        sync_folder(run.folder)
    assert (run.folder / UNSENT).read_text() == content


def test_sync_needs_a_folder_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["sync"], ["sync", "a", "b"], ["sync", str(tmp_path)]):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("gptlab: sync ") and error.count("\n") == 1


# A real server, and a real disk


@pytest.mark.slow
def test_a_server_that_goes_and_comes_and_goes_for_good_loses_nothing(
    mlflow_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with server(port) as kill:
        process = start_training(mlflow_folder, 10**9, 0.02, f"http://127.0.0.1:{port}")
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        wait_until(lambda: len(steps(run_id)) > 20, 60)
        kill()
    during = len(steps(run_id))
    time.sleep(1.5)  # so that something is missed
    with server(port) as kill:
        wait_until(lambda: len(steps(run_id)) > during + 50, 90)
        kill()
    # Not after a number of steps: nothing here depends on how fast anything is.
    (mlflow_folder / "the-end").touch()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert errors.startswith("mlflow: http://"), errors
    assert errors.splitlines()[-1].endswith("python -m gptlab sync run"), errors
    sent = steps(run_id)
    assert sent == list(range(1, len(sent) + 1)), "without gap or double"
    assert client().get_run(run_id).info.status == "RUNNING"

    assert main(["sync", "run"]) == 2
    assert "does not answer within" in capsys.readouterr().err
    with server(port):
        assert main(["sync", "run"]) == 0
        assert run_id in capsys.readouterr().out
        assert main(["sync", "run"]) == 0
        assert "nothing left" in capsys.readouterr().out
    found = client().get_run(run_id)
    assert found.info.status == "FINISHED"
    whole = steps(run_id)
    assert len(whole) > len(sent) and whole == list(range(1, len(whole) + 1))


@pytest.mark.slow
def test_a_full_disk_does_not_end_the_training(mlflow_folder: Path) -> None:
    limit = (mlflow_folder / "mlflow.db").stat().st_size + 300_000  # bytes a file may have

    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    process = start_training(mlflow_folder, steps=40_000, before=full)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "gptlab sync run" in errors.splitlines()[-1], errors
    assert len(errors.splitlines()) <= 3, errors  # of the store, of the folder, and what is to be done
    run_id = output.strip()
    before = steps(run_id)
    assert before == list(range(1, len(before) + 1)) and len(before) < 39_999
    # There is room again. What the disk had no room for in the folder either is not to be had.
    sync_folder(mlflow_folder / "run")
    logged = [step for step, _ in RunFolder(mlflow_folder / "run").rows()]
    assert steps(run_id) == logged == list(range(1, len(logged) + 1)) and len(logged) > len(before)
    assert client().get_run(run_id).info.status == "FINISHED"
