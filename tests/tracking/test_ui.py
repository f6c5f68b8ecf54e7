"""The `ui` verb: one quick server for the store of the folder, and nothing left when it ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gptlab.errors import UserError
from gptlab.tracking import orphans, ui
from gptlab.tracking.store import Store, find_store, open_store
from gptlab.tracking.ui import serve_ui
from tests.repository import ROOT


def test_without_a_store_it_says_what_makes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"no runs to show.*python -m gptlab \+experiment=tiny"):
        serve_ui()
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_named_and_not_served_again(capsys):
    assert serve_ui("http://tracking.example:5000") == 0
    assert "http://tracking.example:5000" in capsys.readouterr().out


def test_a_taken_port_is_refused_with_a_free_one(mlflow_folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} .* is not free.*gptlab ui port=\d+"):
            serve_ui(port=port)


@contextmanager
def another_server(port: int) -> Iterator[None]:
    """One that answers everything as MLflow's would."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *rest):
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port that another server takes once it was found free, as where two `ui` are started together."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    glance = ui.glance
    with ExitStack() as servers:

        def taking(store: Store) -> tuple[str | None, bool]:
            servers.enter_context(another_server(port))
            return glance(store)

        monkeypatch.setattr(ui, "glance", taking)
        yield port


REFUSAL = r"port \d+ .* is not free.*gptlab ui port=\d+"


@pytest.mark.slow
def test_the_answer_of_another_server_is_not_taken_for_ones_own(mlflow_folder, monkeypatch, taken, capsys):
    ending = mlflow_folder / "a server that ends"
    ending.write_text("#!/bin/sh\nsleep 0.5\n")
    ending.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(ending))
    with pytest.raises(UserError, match=REFUSAL):
        serve_ui(port=taken)
    assert "shows the runs" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_port_that_is_taken_while_the_server_starts_is_refused_with_a_free_one(
    mlflow_folder, taken, capsys
):
    with pytest.raises(UserError, match=REFUSAL):
        serve_ui(port=taken)
    assert "shows the runs" not in capsys.readouterr().out


def test_every_address_of_a_name_must_be_free(mlflow_folder, monkeypatch):
    """`localhost` has two, and a browser may ask either."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        def both(host, port, **rest):
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 0, "", (a, port)) for a in ("127.0.0.2", "127.0.0.1")
            ]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        with pytest.raises(UserError, match=f"port {port} of localhost is not free"):
            serve_ui(host="localhost", port=port)


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 0), ("127.0.0.1", 70000), ("no.such.host.invalid", 5000)]
)
def test_a_wrong_address_is_refused(host, port, mlflow_folder):
    with pytest.raises(UserError, match="must be"):
        serve_ui(host=host, port=port)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_the_runs_and_ends_whole(end, mlflow_folder):
    client = open_store(find_store())
    experiment = client.create_experiment("gptlab", artifact_location=f"{find_store().artifacts}/gptlab")
    tags = {orphans.HOST: orphans.host(), orphans.PROCESS: f"{os.getpid()} long-ago"}
    run_id = client.create_run(experiment, tags=tags).info.run_id
    client.log_text(run_id, "the cat runs", "samples/step-000001.txt")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from gptlab.tracking.ui import serve_ui; raise SystemExit(serve_ui(port={port}))",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # With the title lines before it, so that an early end shows what was said instead.
    address = [process.stdout.readline() for _ in range(3)][-1].strip()
    children = _children(process.pid)
    try:
        assert (
            address
            == f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?workflowType=machine_learning"
        )
        base = f"http://127.0.0.1:{port}"
        with urllib.request.urlopen(
            f"{base}/get-artifact?run_id={run_id}&path=samples/step-000001.txt"
        ) as answer:
            assert answer.read() == b"the cat runs"
    finally:
        process.send_signal(end)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, ""), output
    assert client.get_run(run_id).info.status == "KILLED"
    assert children and not [child for child in children if Path(f"/proc/{child}").exists()]


def _children(pid: int) -> list[int]:
    """All that the process has started, and what that has started."""
    direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return direct + [one for child in direct for one in _children(child)]
