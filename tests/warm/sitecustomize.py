"""Python imports this as it begins, where it lies on its path: it hands over what the tests want to begin warm.

Nothing is imported for it until it is known that there is something to hand over. See tests/warm/__init__.py.
"""

import os
import sys

PLACE = "TESTS_WARM"  # in the environment: the folder of the servers' sockets
WORKER = "import gptlab.tracking.worker"
# What libraries read as they are imported: a process with other values needs a server of its own.
READ_AT_IMPORT = (
    "JAX",
    "XLA",
    "PYTHON",
    "MLFLOW",
    "OMP",
    "OPENBLAS",
    "MPL",
    "HOME",
    "XDG_C",
    "LANG",
    "LC_",
    "TZ",
    "TMP",
)
READ_LATER = ("MLFLOW_TRACKING_URI",)


def kind_of(words: list[str]) -> str | None:
    """Which libraries a Python with these words will want, if it is one that can be handed over."""
    if words[:2] == ["-P", "-c"] and len(words) > 2 and WORKER in words[2]:
        return "tracking"
    return "command" if words[:2] == ["-m", "gptlab"] else None


def server_for(kind: str) -> str:
    """The name of the socket of the server whose libraries are what this process would import."""
    import zlib

    read = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(READ_AT_IMPORT) and name not in READ_LATER
    ]
    return f"{kind}-{zlib.crc32(repr([sys.executable, sys.path, read]).encode()):08x}"


def hand_over(place: str, kind: str) -> None:
    """Have a server do it and end as it ends there. Returns if there is none."""
    import json
    import signal
    import socket
    from contextlib import suppress

    name = os.path.join(place, server_for(kind))
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect(name)
    except OSError:
        return begin_server(name, kind)
    forwarded = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
    # What comes before the other process is there waits until it is.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, forwarded)
    ignored = [each for each in signal.valid_signals() if signal.getsignal(each) == signal.SIG_IGN]
    request = {
        "words": sys.orig_argv[1:],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path,
        "mask": sorted(map(int, mask)),
        "ignored": sorted(map(int, ignored)),
    }
    answers = server.makefile()
    try:
        text = json.dumps(request).encode()
        socket.send_fds(server, [len(text).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(text)
        child = int(answers.readline())
    except (OSError, ValueError):  # it has just ended
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return None

    def forward(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in forwarded:
        if number not in ignored:
            signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    status = int(answers.readline() or 70)
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
        os.kill(os.getpid(), -status)
    os._exit(status)


def begin_server(name: str, kind: str) -> None:
    """Start one, unless this is the first that asks for its kind: few that do are followed by none."""
    for step in ("asked", "begun"):
        try:
            os.close(os.open(f"{name}.{step}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        except OSError:  # the tests are over
            return
        if step == "begun":
            environment = {key: value for key, value in os.environ.items() if key != PLACE}
            script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py")
            null = os.open(os.devnull, os.O_RDWR)
            streams = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
            words = [sys.executable, script, name, kind]
            os.posix_spawn(sys.executable, words, environment, setsid=True, file_actions=streams)
        return


def hand_over_this() -> None:
    place, kind = os.environ.get(PLACE), kind_of(sys.orig_argv[1:])
    if place and kind:
        hand_over(place, kind)


hand_over_this()
