"""Signals that come while compiled code, jax's compiler or jax's own end keep Python from them."""

import signal
import subprocess
import sys
import time

import pytest

from tests.repository import ROOT

# Compiled code that Python waits for, as for a step of minutes: the main thread is told of no signal meanwhile.
WITHIN_COMPILED_CODE = """
import hashlib, signal, sys
from gptlab import cli, signals

signal.signal(signal.SIGUSR1, lambda *_: None)
signals.PATIENCE, signals.GRACE = 0.3, 1.5

def dispatch(arguments):
    print("computes", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", int(sys.argv[1]))
    return 0

cli.dispatch = dispatch
sys.exit(cli.main(["train"]))
"""


def signalled(
    script: str, argument: object, sent: list[signal.Signals], timeout: float
) -> tuple[int, str, str]:
    """Its status and what it printed, of a script that says when it computes and then gets these signals."""
    command = [sys.executable, "-c", script, str(argument)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == "computes\n"
    time.sleep(0.3)  # now it does
    for number in sent:
        process.send_signal(number)
        time.sleep(0.9)
    try:
        out, error = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return process.returncode, out, error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rounds", "sent", "status", "said"),
    [
        (10**9, [signal.SIGTERM], 143, "stopped by SIGTERM within a step"),
        (10**9, [signal.SIGINT, signal.SIGINT], 130, "stopped by Ctrl-C within a step"),
        (3 * 10**6, [signal.SIGINT], 130, "stopped by Ctrl-C\n"),
        (8 * 10**6, [signal.SIGUSR1, signal.SIGUSR1], 0, ""),
    ],
    ids=["one-sigterm", "two-of-ctrl-c", "one-is-waited-for", "another-s"],
)
def test_compiled_code_does_not_keep_a_signal_off(
    rounds: int, sent: list[signal.Signals], status: int, said: str
) -> None:
    ended, _, error = signalled(WITHIN_COMPILED_CODE, rounds, sent, timeout=60)
    assert ended == status and said in error
    assert ("Stop once more to end it at once" in error) == (len(error.splitlines()) > 1)


# jax, as it compiles, lets Python know of a signal and goes on: a run has remembered it, and the next step is far away.
REMEMBERED = """
import sys, time
from gptlab import cli, signals

signals.PATIENCE, signals.GRACE = 0.3, 1.5

def dispatch(arguments):
    with signals.ending_between_steps() as poll:
        print("computes", flush=True)
        if sys.argv[1] == "closes":
            with poll.closing():
                time.sleep(3)
            print("in order", flush=True)
            return 0
        try:
            for i in range(400):
                time.sleep(0.05)
                if sys.argv[1] == "polls":
                    poll()
        finally:
            time.sleep(3)  # what ends in order may take its time
            print("in order", flush=True)
    return 0

cli.dispatch = dispatch
sys.exit(cli.main(["train"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "sent", "status", "ended", "said"),
    [
        ("compiles", [signal.SIGTERM], 143, "", "stopped by SIGTERM within a step"),
        ("compiles", [signal.SIGINT, signal.SIGINT], 130, "in order\n", "stopped by Ctrl-C\n"),
        ("polls", [signal.SIGTERM], 143, "in order\n", "stopped by SIGTERM\n"),
        ("closes", [signal.SIGTERM], 0, "in order\n", ""),
    ],
    ids=["one-sigterm", "two-of-ctrl-c", "one-that-is-obeyed", "one-as-it-closes"],
)
def test_a_signal_that_is_only_remembered_ends_the_process_after_its_patience(
    how: str, sent: list[signal.Signals], status: int, ended: str, said: str
) -> None:
    status_then, out, error = signalled(REMEMBERED, how, sent, timeout=15)
    assert (status_then, out) == (status, ended) and said in error


ENDED = """
import atexit, sys, types
from gptlab import __main__, cli, signals

atexit.register(print, "Python's end")
signals.before_end(lambda: print("ours"))
signals.before_end(lambda: 1 / 0)
status, jax = map(int, sys.argv[1:])

def main():
    print("still in a buffer", end=" ")
    if jax:
        sys.modules["jax"] = types.ModuleType("jax")
    return status

cli.main = main
__main__.main()
"""


@pytest.mark.parametrize(
    ("status", "jax", "said"),
    [
        (130, 1, "still in a buffer ours\n"),
        (143, 1, "still in a buffer ours\n"),
        (130, 0, "still in a buffer ours\nPython's end\n"),
        (1, 1, "still in a buffer ours\nPython's end\n"),
    ],
)
def test_python_does_not_take_jax_apart_after_a_signal(status: int, jax: int, said: str) -> None:
    """Its threads may still compute: 3 of 9 commands that were interrupted ended in a core dump."""
    command = [sys.executable, "-c", ENDED, str(status), str(jax)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (status, said)
