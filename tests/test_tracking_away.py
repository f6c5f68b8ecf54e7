"""A store that goes away, comes back, or never does; a disk that is full. The training goes on."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gptlab.tracking.send import send
from gptlab.tracking.unsent import UNSENT, kept
from test_tracking import ROOT, SCRIPT, client, make_run, start_script, wait_until
from test_tracking_worker import END, TIME, FlakyClient, converse, flaky, metrics

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.tracking import send as send_module
from gptlab.tracking import worker
from gptlab.tracking.link import environment
from gptlab.tracking.store import Store, find_store

__all__ = ["flaky"]  # the fixture


def steps(run_id: str, key: str = "train/loss") -> list[int]:
    return sorted(metric.step for metric in client().get_metric_history(run_id, key))


# The conversation and the verb, with a client that fails at will


def test_what_is_kept_is_sent_once_however_often_it_is_sent(flaky: FlakyClient, mlflow_folder: Path) -> None:
    run = make_run(mlflow_folder)
    samples = {"do": "samples", "step": 2, "texts": ["hello"]}
    replies = converse(flaky, run, metrics(1), TIME, True, metrics(2), samples, metrics(3), END)
    run_id = replies[0]["id"]
    assert replies[-1]["kept"] and replies[-1]["message"] == "the store is away"
    assert client().get_run(run_id).info.status == "RUNNING"
    file = run.folder / UNSENT
    assert file.stat().st_mode & 0o077 == 0
    copy = file.read_bytes()
    for _ in range(2):
        assert run_id in send(run.folder)
        assert not file.exists()
        found = client().get_run(run_id)
        assert (found.info.status, steps(run_id)) == ("FINISHED", [1, 2, 3])
        assert found.data.params["model.nEmbd"] == "16"
        assert [f.path for f in client().list_artifacts(run_id, "samples")] == ["samples/step-000002.txt"]
        assert "nothing left to send" in send(run.folder)
        file.write_bytes(copy)  # as if the first one had never answered
    assert client().get_run(run_id).info.end_time == json.loads(copy.splitlines()[-1])["ended"]


def test_samples_that_waited_are_written_in_one_go_and_as_an_earlier_version_kept_them(
    flaky: FlakyClient, mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(mlflow_folder)
    samples = [{"do": "samples", "step": step, "texts": [f"é {step}"]} for step in (2, 4)]
    run_id = converse(flaky, run, TIME, True, *samples, END)[0]["id"]
    lines = [json.loads(line) for line in (run.folder / UNSENT).read_text().splitlines()]
    texts = [line for line in lines if line.get("write") == "texts"]
    assert [list(line["texts"]) for line in texts] == [["samples/step-000002.txt", "samples/step-000004.txt"]]
    lines.append({"write": "text", "path": "samples/step-000006.txt", "text": "old\n"})
    (run.folder / UNSENT).write_text("".join(json.dumps(line) + "\n" for line in lines))
    send(run.folder)
    artifacts = Path(client().get_run(run_id).info.artifact_uri.removeprefix("file://"))
    written = {path.name: path.read_text(encoding="utf-8") for path in (artifacts / "samples").iterdir()}
    expected = {"step-000002.txt": "é 2\n", "step-000004.txt": "é 4\n", "step-000006.txt": "old\n"}
    assert written == expected


def test_what_is_still_refused_stays(
    flaky: FlakyClient, mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(mlflow_folder)
    converse(flaky, run, TIME, True, metrics(1), END)
    before = (run.folder / UNSENT).read_bytes()
    monkeypatch.setattr(send_module, "open_store", lambda store: flaky)
    with pytest.raises(UserError, match=r"the store is away.*stays in"):
        send(run.folder)
    assert (run.folder / UNSENT).read_bytes() == before


def test_a_batch_whose_answer_is_lost_is_not_written_again(flaky: FlakyClient, mlflow_folder: Path) -> None:
    written = flaky.real.log_batch
    lost = iter([True, True])
    sent: list[int] = []  # an SQL store drops what it has to the bit; other stores do not

    def log_batch(run_id: str, metrics: Any = (), **more: Any) -> None:
        written(run_id, metrics=metrics, **more)
        sent.extend(metric.step for metric in metrics if metric.key == "train/loss")
        if metrics and next(lost, False):
            raise ConnectionError("the answer was lost")

    flaky.real.log_batch = log_batch
    many = {"do": "metrics", "rows": [[step, step, {"train/loss": 1.0}] for step in range(1, 2501)]}
    replies = converse(flaky, make_run(mlflow_folder), many, TIME, TIME, metrics(2501), END)
    assert [r["is"] for r in replies].count("failed") == 2
    assert replies[-1]["unsent"] == 0
    assert sent == steps(replies[0]["id"]) == list(range(1, 2502))


def test_a_run_that_the_server_never_had_is_made_when_it_is_sent(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = FlakyClient(client())
    away.down = True
    monkeypatch.setattr(worker, "connect", lambda store: away)
    monkeypatch.setattr("test_tracking_worker.find_store", lambda: Store("http://127.0.0.1:9"))
    run = make_run(mlflow_folder)
    (run.folder / "run.json").write_text('{"id": "", "name": "n"}')
    replies = converse(away, run, metrics(1), metrics(2), END)
    assert [r["is"] for r in replies] == ["failed", "ended"]
    unsent = kept(run.folder)
    assert unsent is not None and not unsent.head["started"]

    place = find_store()
    monkeypatch.setattr(send_module, "read_store", lambda message: place)
    told = send(run.folder)
    run_id = json.loads((run.folder / "run.json").read_text())["id"]
    assert run_id in told
    found = client().get_run(run_id)
    assert (found.info.status, steps(run_id)) == ("FINISHED", [1, 2])
    assert found.info.start_time == 1, "it began when its process said so"
    assert found.data.params["model.nEmbd"] == "16"


def test_a_resumed_run_sends_what_the_earlier_process_kept(flaky: FlakyClient, mlflow_folder: Path) -> None:
    run = make_run(mlflow_folder)
    run_id = converse(flaky, run, metrics(1), TIME, True, metrics(2), metrics(3), END)[0]["id"]
    run.id = run_id
    flaky.down = False
    converse(flaky, run, metrics(3), metrics(4), END)
    assert steps(run_id) == [1, 2, 3, 4]
    assert client().get_run(run_id).info.status == "FINISHED"
    assert not (run.folder / UNSENT).exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1}\n{"points": [[1]]}', "5"])
def test_a_file_that_gptlab_did_not_write_is_a_mistake(mlflow_folder: Path, content: str) -> None:
    run = make_run(mlflow_folder)
    (run.folder / UNSENT).write_text(content)
    with pytest.raises(UserError, match=f"{UNSENT} must be as gptlab wrote it"):
        send(run.folder)
    assert (run.folder / UNSENT).read_text() == content


def test_send_needs_a_folder_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["send"], ["send", "a", "b"], ["send", str(tmp_path)]):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("gptlab: send ") and error.count("\n") == 1


# A real server, and a real disk


@contextmanager
def server(port: int) -> Iterator[Callable[[], None]]:
    """An MLflow server on the current folder's store, which answers; call what this gives to kill it."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", find_store().uri]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        env={**environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def kill() -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(listening, 120)
        yield kill
    finally:
        kill()


@pytest.mark.slow
def test_a_server_that_goes_and_comes_and_goes_for_good_loses_nothing(
    mlflow_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # The end of the training is when this file is there: nothing here depends on how fast anything is.
    go_on = mlflow_folder / "the-end"
    script = SCRIPT.format(tests=str(ROOT / "tests"), uri=f"http://127.0.0.1:{port}", steps=10**9, pause=0.02)
    script = script.replace("    time.sleep", f"    if Path({str(go_on)!r}).exists(): break\n    time.sleep")
    assert str(go_on) in script
    with server(port) as kill:
        process = start_script(mlflow_folder, script=script)
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        wait_until(lambda: len(steps(run_id)) > 20, 60)
        kill()
    during = len(steps(run_id))
    time.sleep(1.5)  # so that something is missed
    with server(port) as kill:
        wait_until(lambda: len(steps(run_id)) > during + 50, 90)
        kill()
    go_on.touch()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert errors.startswith("mlflow: http://"), errors
    assert errors.splitlines()[-1].endswith("python -m gptlab send run"), errors
    sent = steps(run_id)
    assert sent == list(range(1, len(sent) + 1)), "without gap or double"
    assert client().get_run(run_id).info.status == "RUNNING"

    assert main(["send", "run"]) == 2
    assert "must answer" in capsys.readouterr().err
    with server(port):
        assert main(["send", "run"]) == 0
        assert run_id in capsys.readouterr().out
        assert main(["send", "run"]) == 0
        assert "nothing left" in capsys.readouterr().out
    found = client().get_run(run_id)
    assert found.info.status == "FINISHED"
    whole = steps(run_id)
    assert len(whole) > len(sent) and whole == list(range(1, len(whole) + 1))


@pytest.mark.slow
def test_a_full_disk_does_not_end_the_training(mlflow_folder: Path) -> None:
    limit = (mlflow_folder / "mlflow.db").stat().st_size + 300_000  # bytes a file may have

    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    process = start_script(mlflow_folder, steps=40_000, before=full)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "gptlab send run" in errors.splitlines()[-1] or "is lost" in errors.splitlines()[-1], errors
    assert len(errors.splitlines()) <= 2, errors
    run_id = output.strip()
    before = steps(run_id)
    assert before == list(range(1, len(before) + 1)) and len(before) < 39_999
    if (mlflow_folder / "run" / UNSENT).exists():  # there is room again
        send(mlflow_folder / "run")
        assert steps(run_id) == list(range(1, 40_000))
        assert client().get_run(run_id).info.status == "FINISHED"
