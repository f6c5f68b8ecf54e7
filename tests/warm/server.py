"""Has libraries loaded, and does in forks of itself what sitecustomize.py hands over: `server.py SOCKET KIND`."""

import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any

IDLE = 120.0  # seconds after which it ends; earlier if its socket's file is removed

# What gptlab imports from others; nothing of gptlab, which is what the tests are about.
LIBRARIES = {
    "tracking": (
        *("mlflow", "mlflow.store.tracking.sqlalchemy_store", "mlflow.tracking.client", "numpy", "pandas"),
        *("PIL.Image", "matplotlib.figure", "matplotlib.backends.backend_agg"),
    ),
    "command": (
        *("jax", "jax.numpy", "jax.extend.core", "jax.export", "scipy.linalg", "optax", "hydra", "omegaconf"),
        *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    ),
}
Request = dict[str, Any]


def received(connection: socket.socket) -> tuple[Request, list[int]]:
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    left, text = int.from_bytes(size, "big"), b""
    while len(text) < left:
        if not (part := connection.recv(left - len(text))):
            raise ConnectionError("the other end is gone")
        text += part
    return json.loads(text), streams


def serve(name: str) -> tuple[Request, list[int]] | None:
    """Fork for each that asks: the child returns what it is to be, the server None, once nobody asks any more."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{name}.new")
    listening.listen(64)
    os.rename(f"{name}.new", name)  # whoever finds it is heard
    waking, woken = socket.socketpair()
    waking.setblocking(False)
    woken.setblocking(False)
    signal.set_wakeup_fd(waking.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked: dict[int, socket.socket] = {}
    idle = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while idle < IDLE and (asked or os.path.exists(name)):
            ready = selector.select(timeout=1.0)
            idle = 0.0 if ready or asked else idle + 1.0
            for key, _ in ready:
                if key.fileobj is woken:
                    woken.recv(4096)
                elif key.fileobj is listening:
                    connection, _ = listening.accept()
                    with suppress(OSError, ValueError):
                        request, streams = received(connection)
                        if (child := os.fork()) == 0:
                            signal.set_wakeup_fd(-1)
                            for each in (listening, waking, woken, connection, *asked.values()):
                                each.close()
                            return request, streams
                        for stream in streams:
                            os.close(stream)
                        asked[child] = connection
                        selector.register(connection, selectors.EVENT_READ, child)
                        connection.sendall(b"%d\n" % child)
                elif key.data in asked:
                    # Who asked was killed.
                    selector.unregister(key.fileobj)
                    asked.pop(key.data).close()
                    with suppress(ProcessLookupError):
                        os.kill(key.data, signal.SIGKILL)
            with suppress(ChildProcessError):
                while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                    if connection := asked.pop(ended[0], None):
                        selector.unregister(connection)
                        with suppress(OSError):
                            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
                        connection.close()
    return None


def become(request: Request, streams: list[int]) -> None:
    """What a Python that was started there is as it begins."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.setsid()
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for each in request["ignored"]:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, request["mask"])
    # The server's know nothing of a terminal. sys.stderr is the same for all that it may write to, and absl holds it.
    kept.append((sys.stdin, sys.stdout))
    sys.stdin = sys.__stdin__ = opened(0, "r", sys.stdin)
    sys.stdout = sys.__stdout__ = opened(1, "w", sys.stdout)


def opened(number: int, mode: str, like: Any) -> Any:
    return open(number, mode, encoding=like.encoding, errors=like.errors, closefd=False)


def run(request: Request) -> None:
    """Raises what ends a Python."""
    words = request["words"]
    sys.orig_argv = [sys.executable, *words]
    if words[0] == "-P":
        sys.path[:], sys.argv = request["path"], ["-c", *words[3:]]
        sys.modules["__main__"] = main = ModuleType("__main__")
        exec(compile(words[2], "<string>", "exec"), main.__dict__)
    else:
        sys.path[:], sys.argv = [os.getcwd(), *request["path"]], ["-m", *words[2:]]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    kept: list[Any] = []
    for library in LIBRARIES[sys.argv[2]]:
        with suppress(ImportError):
            importlib.import_module(library)
    if found := serve(sys.argv[1]):
        become(*found)
        run(found[0])
