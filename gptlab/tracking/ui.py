"""The `ui` verb: MLflow's pages for the store of this folder, as one quick server that ends when told."""

import errno
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from contextlib import suppress
from dataclasses import asdict
from http.client import HTTPException
from importlib.metadata import entry_points
from typing import IO

from gptlab.errors import UserError, require
from gptlab.signals import handled
from gptlab.streams import show
from gptlab.tracking.connection import Connection, environment
from gptlab.tracking.store import Store, check_store, find_store, glance
from gptlab.tracking.ui_page import MARK, MARK_PAGE

START_SECONDS = 120.0
# A fresh browser opens MLflow in its GenAI mode. The page reads its settings after the `#`.
MODE = "workflowType=machine_learning"
APP = "gptlab"  # the entry point of `ui_page`


def serve_ui(
    uri: str | None = None, host: str = "127.0.0.1", port: int = 5000, open_browser: bool = False
) -> int:
    """Serve the store's pages until Ctrl-C or SIGTERM; prints the address to open. The exit status.

    Raises UserError if there is no store yet, it does not fit, or the port is taken. Makes nothing.
    """
    store = find_store(uri)
    if store.is_server:
        show(f"A server keeps these runs and shows them itself: {store.shown}")
        return 0
    if store.database is not None and not os.path.lexists(store.database):
        raise UserError(
            f"there are no runs to show: {store.database} does not exist. A run makes it, e.g. "
            "python -m gptlab +experiment=tiny. Or name another store with tracking.uri="
        )
    check_store(store)
    check_port(host, port)
    mark = secrets.token_hex(16)
    with handled(signal.default_int_handler), tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            _command(store, host, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={
                **environment(),
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                # Not on the command line, where everybody could read a database's password.
                "MLFLOW_BACKEND_STORE_URI": store.uri,
                MARK: mark,
            },
            # Its own group: Ctrl-C reaches only us, and we end all of it.
            start_new_session=True,
        )
        connection: Connection | None = None
        try:
            experiment, running = glance(store)
            if running:
                # Whether it still does takes MLflow to set right, in seconds: the server need not wait.
                connection = Connection()
                connection.send(do="sweep", store=asdict(store))
                connection.finish()
            address = f"http://{_shown(host)}:{port}/"
            if not _answers(address, server, mark):
                check_port(host, port)  # that somebody has taken since
                return _died(server, log)
            runs = f"experiments/{experiment}/runs" if experiment else "experiments"
            page = f"{address}#/{runs}?{MODE}"
            show(f"MLflow shows the runs of {store.shown} at\n\n    {page}\n\nCtrl-C ends it.")
            if open_browser:
                webbrowser.open(page)
            server.wait()
            return _died(server, log)
        except KeyboardInterrupt:
            return 0
        finally:
            _end(server)
            if connection is not None:
                connection.close(0.0)


def _command(store: Store, host: str, port: int) -> list[str]:
    command = [sys.executable, "-P", "-m", "mlflow", "server"]
    if store.artifacts is not None:
        # So that an experiment made in the browser can be logged to without the server.
        command += ["--default-artifact-root", store.artifacts]
    if _has_app():
        command += ["--app-name", APP]
    return [*command, "--host", host, "--port", str(port), "--workers", "1"]


def check_port(host: str, port: int) -> None:
    require("port", port, at_least=1, at_most=65535, example=5000)
    for candidate in range(port, min(port + 100, 65536)):
        try:
            _bind(host, candidate)
        except socket.gaierror as error:
            raise UserError(f"host must be an address of this machine, got '{host}' ({error}).") from None
        except PermissionError:
            raise UserError(f"port {port} needs more rights than this user has. Try port=5000") from None
        except OSError as error:
            if candidate == port:
                reason = error.strerror
            continue
        if candidate == port:
            return
        raise UserError(
            f"port {port} of {host} is not free ({reason}): is another `gptlab ui` running? Type python -m gptlab "
            f"ui port={candidate}"
        )
    raise UserError(f"{host} has no free port from {port} on ({reason}). Try another host= or port=")


def _bind(host: str, port: int) -> None:
    """Take each address that the name stands for (`localhost` has two), and let go. Raises OSError."""
    refusals: list[OSError] = []
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, _, _, address in addresses:
        try:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # no IPv6 here
                raise
            refusals.append(error)
    if len(refusals) == len(addresses):
        raise refusals[0]


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _answers(address: str, server: "subprocess.Popen[bytes]", mark: str) -> bool:
    """Wait until the server answers, and not another one at its port; False if it has ended, or takes too long.

    Two that are started together both find the port free: the first to listen answers for both.
    """
    deadline = time.monotonic() + START_SECONDS
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    page, expected = (MARK_PAGE, mark) if _has_app() else ("health", "OK")
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError, HTTPException), direct.open(f"{address}{page}", timeout=5) as answer:
            if answer.read(1000).decode(errors="replace") == expected:
                return True
        time.sleep(0.1)
    return False


def _has_app() -> bool:
    """Whether `ui_page` is installed: an editable install may be older than that."""
    return bool(entry_points(group="mlflow.app", name=APP))


def _died(server: "subprocess.Popen[bytes]", log: IO[bytes]) -> int:
    log.seek(0)
    last = log.read().decode(errors="replace").splitlines()[-20:]
    said = [f"MLflow's server ended by itself (exit status {server.poll()}):", *last]
    show("\n".join(said), sys.stderr)
    return 1


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server and what it has started, which share its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(server.pid, number)
            server.wait(5.0)
    server.wait()
