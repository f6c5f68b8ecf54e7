"""Addresses of MLflow stores: no password in what is kept or shown, and any sign in the path of a file."""

import base64
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.config.addresses import (
    SECRET,
    hide_in_arguments,
    hide_in_config,
    hide_password,
    masked,
    split_address,
    with_password,
    without_password,
)
from gptlab.errors import UserError
from gptlab.tracking import MLflowTracking
from gptlab.tracking.server import check_server, credentials
from gptlab.tracking.store import Store, find_store
from tests.resuming import TINY, write_corpus

VARIABLES = (SECRET, "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
VARIABLES += ("MLFLOW_TRACKING_TOKEN",)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where nothing is set, and put back whatever is."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


ADDRESSES = {
    "http://me:pw@host:5000": ("http://host:5000", "me", "pw"),
    "https://me:p%40w%2F@host/prefix": ("https://host/prefix", "me", "p@w/"),
    "http://me:p@w@host": ("http://host", "me", "p@w"),
    "http://me:p@w/x@host": ("http://host", "me", "p@w/x"),
    "http://me:p/w?x#y@host:80": ("http://host:80", "me", "p/w?x#y"),
    "http://me@host": ("http://host", "me", ""),
    "http://:pw@host": ("http://host", "", "pw"),
    "http://host:5000/a@b": ("http://host:5000/a@b", "", ""),
    "http://[::1]:5000/a@b": ("http://[::1]:5000/a@b", "", ""),
    "http://me:pw@[::1]:5000": ("http://[::1]:5000", "me", "pw"),
    "postgresql+psycopg2://me:pw@host:5432/runs": ("postgresql+psycopg2://host:5432/runs", "me", "pw"),
    "sqlite:////srv/me@here:x/mlflow.db": ("sqlite:////srv/me@here:x/mlflow.db", "", ""),
    "databricks://profile": ("databricks://profile", "", ""),
    "databricks": ("databricks", "", ""),
    "./mlruns": ("./mlruns", "", ""),
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_an_address_is_taken_apart_and_shown_without_its_password(uri: str) -> None:
    bare, user, password = ADDRESSES[uri]
    assert split_address(uri) == (bare, user, password)
    for shown in (masked(uri), without_password(uri)):
        assert not password or password not in shown
        assert user in shown
    assert ("***" in masked(uri)) == bool(password)
    if not password:
        assert masked(uri) == without_password(uri) == hide_password(uri) == uri
    assert with_password(hide_password(uri)) == uri


def test_a_hidden_password_is_that_of_its_address_only() -> None:
    assert hide_password("http://me:pw@host") == "http://me@host"
    assert with_password("http://me@other") == "http://me@other"
    assert with_password("http://me@host") == "http://me:pw@host"


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_command_line_is_kept_without_a_password(quote: str) -> None:
    typed = ["-m", "seed=1,2", f"tracking.uri={quote}http://me:pw@host{quote}", "data.path=a:b@c"]
    kept = hide_in_arguments(typed)
    assert kept == ["-m", "seed=1,2", f"tracking.uri={quote}http://me@host{quote}", "data.path=a:b@c"]
    assert with_password("http://me@host") == "http://me:pw@host"


@pytest.mark.slow
def test_a_config_and_a_file_of_an_experiment_are_kept_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "postgresql://me:pw@host/runs"
    assert hide_in_config({"tracking": {"uri": uri}, "seed": 1}) == {
        "tracking": {"uri": "postgresql://me@host/runs"},
        "seed": 1,
    }
    assert find_store("postgresql://me@host/runs").uri == uri
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/mine.yaml").write_text("tracking: {uri: 'http://me:pw@host'}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["+experiment=mine", "--cfg", "job"]) == 0
    printed = capsys.readouterr().out
    assert "uri: http://me@host" in printed and "pw" not in printed
    assert find_store("http://me@host").password == "pw"


def test_a_server_s_password_is_apart_from_its_address_and_is_no_part_of_its_text() -> None:
    store = find_store("http://me:pw@host:5000")
    assert (store.uri, store.user, store.password) == ("http://host:5000", "me", "pw")
    assert store.shown == "http://me:***@host:5000" and "pw" not in repr(store)
    assert Store(**json.loads(json.dumps(asdict(store)))) == store


def test_a_user_in_the_address_goes_with_the_password_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pw")
    assert find_store("http://me@host").password == "pw"
    assert find_store("http://host") == Store("http://host")


@contextmanager
def guarded(user: str, password: str) -> Iterator[tuple[int, list[str]]]:
    """A server that wants this user: its port, and the paths that it was asked for with the right password."""
    wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    asked: list[str] = []

    class Guarding(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            right = self.headers.get("Authorization") == wanted
            if right:
                asked.append(self.path)
            content = b'{"experiment": {"experiment_id": "0"}}' if right else b""
            self.send_response(200 if right else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *rest: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Guarding) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


def test_a_server_is_asked_with_the_password_and_refuses_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded("me", "p@ss/w%rd") as (port, asked):
        check_server(find_store(f"http://me:p@ss/w%25rd@127.0.0.1:{port}"))
        assert asked == ["/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"]
        with pytest.raises(UserError, match="refuses the ones that it was given") as refused:
            check_server(find_store(f"http://me:secret@127.0.0.1:{port}"))
        assert "secret" not in str(refused.value)
        with pytest.raises(
            UserError, match=rf"was given none.*tracking\.uri=http://USER:PASSWORD@127\.0\.0\.1:{port}"
        ):
            check_server(find_store(f"http://127.0.0.1:{port}"))
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p@ss/w%rd")
        check_server(find_store(f"http://127.0.0.1:{port}"))


@pytest.mark.slow
def test_mlflow_s_own_client_gets_the_password() -> None:
    from mlflow.exceptions import MlflowException

    from gptlab.tracking.store import connect

    with guarded("me", "p@ss/w%rd") as (port, asked):
        client = connect(find_store(f"http://me:p@ss/w%25rd@127.0.0.1:{port}"))
        with suppress(MlflowException):  # it answers nothing of use
            client.get_run("0" * 32)
    assert any("/mlflow/runs/get" in path for path in asked)


def test_a_token_is_given_where_there_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    assert credentials(Store("http://host")) == "Bearer t"
    assert credentials(Store("http://host", user="me", password="pw")).startswith("Basic ")


@pytest.mark.slow
def test_nothing_that_a_run_leaves_has_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Typed and in the environment: kept, logged, printed and handed on without it, also where a run is refused."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    command = [*(word for word in TINY if word != "tracking=none"), "engine=scalar", "train.numSteps=2"]
    monkeypatch.setattr(sys, "argv", ["gptlab", *command, "tracking.uri=http://me:hunter2@127.0.0.1:9"])
    assert main() == 2  # nobody is there
    assert "http://me:***@127.0.0.1:9" in capfd.readouterr().err
    assert "hunter2" not in " ".join(sys.argv)
    # The config that any run of such a command keeps.
    monkeypatch.setattr(sys, "argv", ["gptlab", *command, "tracking=none", "+x=1"])
    swept = [
        "-m",
        *command[:-1],
        "train.numSteps=2",
        "seed=1,2",
        "tracking.uri=http://me:hunter2@127.0.0.1:9",
    ]
    assert main(swept) == 2
    assert "hunter2" not in "".join(capfd.readouterr())
    left = [file for file in tmp_path.rglob("*") if file.is_file() and b"hunter2" in file.read_bytes()]
    assert left == []
    assert os.environ[SECRET].startswith("http://me:hunter2@")


def test_what_waits_to_be_sent_keeps_no_server_s_password(tmp_path: Path) -> None:
    from tests.tracked import make_run

    run = make_run(tmp_path)
    tracker = MLflowTracking(uri="http://me:hunter2@127.0.0.1:9").start()
    tracker.gptlab_run_started(run)
    with pytest.raises(UserError, match=r"http://me:\*\*\*@127"):
        tracker.wait_until_reachable()
    kept = (run.folder / "run.json").read_text()
    assert "http://me@127.0.0.1:9" in kept and "hunter2" not in kept


FOLDERS = [
    "feature%2Ffoo",
    "100%",
    "a%b",
    "%zz",
    "a b",
    "a#b",
    "a?b",
    "a&b;c=d",
    "é ü 中",
    'it\'s "quoted"',
    "a@b:c",
]


@pytest.mark.parametrize("name", FOLDERS)
def test_sqlalchemy_opens_the_file_of_the_folder_whatever_signs_its_path_has(
    name: str, tmp_path: Path
) -> None:
    from sqlalchemy import create_engine, make_url

    folder = tmp_path / name
    folder.mkdir()
    store = find_store(None, folder)
    assert store.database == folder / "mlflow.db"
    assert make_url(store.uri).database == str(store.database)
    engine = create_engine(store.uri)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE there (x)")
    engine.dispose()
    assert store.database.is_file() and [path.name for path in tmp_path.iterdir()] == [name]
    assert find_store(store.uri, tmp_path) == store, "what is shown can be typed"


def test_an_address_of_a_file_is_read_as_mlflow_reads_it(tmp_path: Path) -> None:
    assert find_store("sqlite:///a%20b%3F/m.db", tmp_path).database == tmp_path / "a b?/m.db"
    with pytest.raises(UserError, match=r"typed as %3F"):
        find_store("sqlite:///a?b/m.db", tmp_path)
