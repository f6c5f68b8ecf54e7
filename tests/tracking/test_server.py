"""What answers at a server's address, asked before step 1: MLflow, somebody else, or nobody."""

import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.runs.folder import RunFolder
from gptlab.tracking import catch_up
from gptlab.tracking import store as stores
from gptlab.tracking.server import answers, check_server
from gptlab.tracking.store import Away, Store, said
from tests.resuming import TINY, write_corpus
from tests.tracked import client, make_run
from tests.tracking.conversing import over, tell_start
from tests.tracking.serving import Handler, saying, serving

HTML = "<!DOCTYPE html>\n<html><body>" + "log in " * 500 + "</body></html>"
THERE = {"experiment": {"experiment_id": "1", "name": "gptlab", "lifecycle_stage": "active"}}
DELETED = {"experiment": {"experiment_id": "7", "name": "gptlab", "lifecycle_stage": "deleted"}}
NOT_THERE = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}
SHORT = [word for word in TINY if word != "tracking=none"] + ["engine=scalar", "train.numSteps=3"]


def drip(handler: Handler) -> None:
    """A byte now and then, for ever."""
    handler.reply(200, b"{", length=10**6)
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b" ")


@pytest.mark.parametrize("answer", [saying(200, THERE), saying(404, NOT_THERE)], ids=["there", "not yet"])
def test_mlflow_is_known_by_what_it_tells_of_the_experiment(answer: Callable[[Handler], None]) -> None:
    with serving(answer) as server:
        check_server(Store(server.address), experiment="gptlab")
        assert answers(Store(f"{server.address}/"), 2.0)
    (first, *_) = server.asked
    assert first == ("GET /api/2.0/mlflow/experiments/get-by-name?experiment_name=gptlab", None)


def test_a_name_is_one_name_whatever_signs_are_in_it() -> None:
    with serving(saying(404, NOT_THERE)) as server:
        check_server(Store(server.address), experiment="a/b&run=1 ü")
    assert server.asked[0][0].endswith("?experiment_name=a%2Fb%26run%3D1%20%C3%BC")


REFUSED: dict[str, tuple[Callable[[Handler], None], str]] = {
    "a deleted experiment": (saying(200, DELETED), "restore -x 7"),
    "401": (saying(401, "who are you?"), "wants a user and a password"),
    "403": (saying(403, "Permission denied"), r"refuses what a run sends \(403 Forbidden\)"),
    "403 of MLflow's": (
        saying(403, {"error_code": "PERMISSION_DENIED", "message": "not yours"}),
        r"Forbidden: not yours\)",
    ),
    "400": (saying(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no name"}), "no name"),
}
AWAY: dict[str, tuple[Callable[[Handler], None], str]] = {
    "404": (saying(404, HTML), "404 Not Found"),
    "500": (saying(500, HTML), "500 Internal"),
    "503": (saying(503), "503 Service"),
    "a page": (saying(200, HTML), "a page of HTML"),
    "a page in one line": (saying(200, HTML.replace("\n", "")), "a page of HTML"),
    "nothing": (saying(200), "answers nothing"),
    "empty JSON": (saying(200, "{}"), r"answers \{\}"),
    "other JSON": (saying(200, {"status": "ok"}), "JSON without experiment"),
    "JSON of another shape": (saying(200, {"experiment": {"experiment_id": []}}), "JSON without experiment"),
    "a list": (saying(200, "[]"), r"answers \[\]"),
    "deep JSON": (saying(200, "[" * 100_000), "answers"),
    "no UTF-8": (lambda handler: handler.reply(200, b"\xff\x00\x1b]52;c;"), "answers"),
    "an end too soon": (lambda handler: handler.reply(200, b'{"exp', length=100), "answers|does not"),
    "no HTTP": (lambda handler: [handler.wfile.write(b"SSH-2.0\r\n\r\n")][0], "does not"),
    "closed": (lambda handler: None, "does not"),
    "a byte now and then": (drip, r"within 0\.5 s"),
    "never": (lambda handler: [handler.server.ended.wait(20)][0], r"within 0\.5 s.*timed out"),
    "round in circles": (
        lambda handler: handler.reply(302, Location=handler.path),
        "302|infinite loop|redirect",
    ),
}


@pytest.mark.parametrize("case", [*REFUSED, *AWAY])
def test_what_is_not_mlflow_or_refuses_is_told_in_one_line(case: str) -> None:
    answer, told = (REFUSED | AWAY)[case]
    began = time.monotonic()
    with serving(answer) as server:
        with pytest.raises(UserError, match=told) as refused:
            check_server(Store(server.address), timeout=0.5, experiment="gptlab")
        assert answers(Store(server.address), 0.5) == (case in REFUSED)
    text = str(refused.value)
    assert isinstance(refused.value, Away) == (case in AWAY)
    assert text.isprintable() and len(text) < 900 and "<" not in text
    assert time.monotonic() - began < 5.0


def test_nobody_is_waited_for_longer_than_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Away, match=r"within 0\.2 s.*timed out.*tracking=none"):
            check_server(Store(address), timeout=0.2)
    with pytest.raises(Away, match="refused"):
        check_server(Store(address))
    with pytest.raises(Away, match="does not"):
        check_server(Store("http://no-such-host.invalid:5000"))


@pytest.mark.slow
def test_sync_gives_up_a_server_that_never_comes_to_an_end(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catch_up, "SENDING_SECONDS", 2.0)
    run = make_run(mlflow_folder)
    known = saying(200, THERE)
    with serving(lambda handler: (known if "get-by-name" in handler.path else drip)(handler)) as server:
        tell_start(run, Store(server.address))
        over(run)()
        assert main(["sync", "run", f"tracking.uri={server.address}"]) == 2
    error = capsys.readouterr().err
    assert "did not take everything within 2 s" in error and error.count("\n") == 1
    assert RunFolder(run.folder).identity()["synced"] is False


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_token_does_not_follow_to_another_server(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    with serving(saying(200, THERE)) as other, serving(saying(status, Location=other.address)) as server:
        check_server(Store(server.address))
    assert [token for _, token in server.asked] == ["Bearer secret"]
    assert [token for _, token in other.asked] == [None]


def test_what_mlflow_s_client_asks_with_in_its_own_way_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    with serving(saying(403, '{"message": "Missing Authentication Token"}')) as server:
        check_server(Store(server.address), experiment="gptlab")


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (HTML, "a page of HTML"),
        (
            f"error code 502 != 200. Response body: '{HTML}'",
            "error code 502 != 200. Response body: a page of HTML",
        ),
        (
            "database is locked\n[SQL: INSERT INTO metrics VALUES (?)]\n[parameters: (1, 2)]",
            "database is locked",
        ),
        (
            '418 Client Error. Response text: {"message": "Error\\n[SQL: SELECT 1]"}',
            '418 Client Error. Response text: {"message": "Error',
        ),
        ("a" * 5000, "a" * 300 + "..."),
        ("\x1b]52;c;aGk=\x07 hm", " ]52;c;aGk=  hm"),
        ("", "ValueError"),
    ],
)
def test_an_error_is_shown_in_one_line(content: str, shown: str) -> None:
    assert said(ValueError(content)) == shown


# Commands


@pytest.fixture
def command(mlflow_folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs one that trains, in a folder with a corpus: its status, and what it complains of."""
    write_corpus(mlflow_folder)

    def run(*words: str) -> tuple[int, str]:
        capfd.readouterr()
        return main([*SHORT, *words]), capfd.readouterr().err

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", ["a deleted experiment", "401", "403", "404", "500", "a page", "nothing", "empty JSON"]
)
def test_a_server_that_refuses_keeps_step_1_from_being_taken(
    command: Callable[..., tuple[int, str]], mlflow_folder: Path, case: str
) -> None:
    answer = (REFUSED | AWAY)[case][0]
    with serving(answer) as server:
        status, error = command(f"tracking.uri={server.address}")
    assert status == 2 and error.count("\n") == 1 and error.startswith("gptlab: ")
    assert not (mlflow_folder / "runs").exists()


@pytest.mark.slow
def test_a_deleted_experiment_keeps_step_1_from_being_taken(
    command: Callable[..., tuple[int, str]], mlflow_folder: Path
) -> None:
    number = client().create_experiment("gptlab")
    client().delete_experiment(number)
    status, error = command()
    assert status == 2 and f"restore -x {number}" in error and error.count("\n") == 1
    assert not (mlflow_folder / "runs").exists()


@pytest.mark.slow
def test_a_store_that_somebody_holds_is_told_from_one_that_is_none(
    command: Callable[..., tuple[int, str]], mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "LOCKED_SECONDS", 0.2)
    with closing(sqlite3.connect(mlflow_folder / "mlflow.db")) as holder:
        holder.execute("PRAGMA journal_mode=DELETE")
        holder.execute("BEGIN EXCLUSIVE")
        status, error = command()
    assert status == 2 and "has been locked by another program for 0.2 s" in error and error.count("\n") == 1
    assert not (mlflow_folder / "runs").exists()


@pytest.mark.slow
def test_what_a_store_that_is_locked_for_a_while_lacks_is_there_in_the_end(
    command: Callable[..., tuple[int, str]], mlflow_folder: Path
) -> None:
    def hold() -> None:
        with closing(sqlite3.connect(mlflow_folder / "mlflow.db", check_same_thread=False)) as holder:
            holder.execute("BEGIN IMMEDIATE")  # who reads does not see it
            held.set()
            time.sleep(12)

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    status, error = command("hydra.run.dir=run")
    thread.join()
    assert status == 0, error
    if "gptlab sync run" in error:
        assert main(["sync", "run"]) == 0
    (found,) = client().search_runs(["1"])
    assert found.info.status == "FINISHED" and found.data.metrics["train/loss"] > 0


@pytest.mark.slow
def test_a_resumed_run_whose_store_is_gone_is_refused_and_left_as_it_was(
    command: Callable[..., tuple[int, str]], mlflow_folder: Path, mlflow_template: Path
) -> None:
    assert command("hydra.run.dir=run", "train.numSteps=20", "checkpoint.every=5")[0] == 0
    # As if it had been stopped at step 15.
    shutil.rmtree(mlflow_folder / "run/checkpoints/step-000020")
    folder = RunFolder(mlflow_folder / "run")
    folder.update(status="KILLED", reason="interrupted", synced=False)
    before = folder.identity()
    for gone in mlflow_folder.glob("mlflow.db*"):
        gone.unlink()
    for _ in ("there is none", "an empty one"):
        assert main(["resume=run", "progress=none", f"tracking.uri=sqlite:///{mlflow_folder}/mlflow.db"]) == 2
        assert {key: folder.identity()[key] for key in before} == before
        shutil.copy(mlflow_template, mlflow_folder / "mlflow.db")
    # All that it had is in its folder.
    assert main(["sync", "run"]) == 0
    found = client().get_run(folder.id)
    assert found.info.status == "KILLED" and found.info.run_id != before["id"]
    assert len(client().get_metric_history(folder.id, "train/loss")) == len(folder.rows())
