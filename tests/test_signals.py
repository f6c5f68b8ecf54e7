"""Ctrl-C, SIGTERM and SIGHUP, sent to a true process: what is left, and what is said."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gptlab import cli
from gptlab.signals import Stopped, ending_at_once, ending_between_steps
from tests.repository import ROOT

LONG = ["data=questions", "model.nEmbd=8", "model.nHead=2", "train.numSteps=10000000", "train.evalEvery=500"]
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
WORDS = {
    signal.SIGINT: "stopped by Ctrl-C",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP",
}

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("train.numSteps=3")` runs the command in the test's folder."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> "subprocess.Popen[str]":
        environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
        process = subprocess.Popen(
            [sys.executable, "-m", "gptlab", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_training_ends_with_its_weights(tmp_path: Path, start: Start, number: signal.Signals) -> None:
    process = start(*LONG, "tracking=none")
    wait_for(tmp_path, "runs/*/*/samples.txt", process)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)

    assert process.returncode == STATUS[number]
    assert error.startswith(f"gptlab: {WORDS[number]} at step ") and error.count("\n") == 1
    (weights,) = tmp_path.glob("runs/*/*/checkpoints/step-*/weights.safetensors")
    assert f"at step {int(weights.parent.name.removeprefix('step-'))} of 10000000" in error
    assert str(weights.parents[2].relative_to(tmp_path)) in error
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_the_mlflow_run_is_closed_as_killed(
    mlflow_folder: Path, start: Start, number: signal.Signals
) -> None:
    process = start(*LONG)
    wait_for(mlflow_folder, "runs/*/*/samples.txt", process)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)

    assert process.returncode == STATUS[number]
    assert error.startswith(f"gptlab: {WORDS[number]}") and error.count("\n") == 1

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{mlflow_folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    assert run.info.status == "KILLED"


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux to see which signals are caught"
)
@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.7, 1.2, 2.5])
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
def test_a_start_that_is_interrupted_leaves_nothing_half_made(
    tmp_path: Path, start: Start, number: signal.Signals, delay: float
) -> None:
    process = start(*LONG, "tracking=none")
    deadline = time.monotonic() + 30
    while not catches(process.pid, signal.SIGTERM):
        assert process.poll() is None and time.monotonic() < deadline
    # From here to the first step it imports, composes, reads data and compiles.
    time.sleep(delay)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    if list(tmp_path.glob("runs/*/*/run.json")):  # a quick machine: training had begun
        assert process.returncode == STATUS[number]
        assert error.startswith(f"gptlab: {WORDS[number]} at step ") and "kept in runs/" in error
        return

    assert (process.returncode, error) == (STATUS[number], f"gptlab: {WORDS[number]}\n")
    assert list(tmp_path.iterdir()) == []


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal: bit `number - 1` of the mask that Linux shows."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def test_at_once() -> None:
    with pytest.raises(Stopped) as stop, ending_at_once():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert stop.value.status == 143


def test_between_steps_and_the_second_at_once() -> None:
    with ending_between_steps() as poll:
        poll()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            poll()
        with pytest.raises(Stopped) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert stop.value.status == 143


@pytest.fixture
def hang_up_ignored() -> Iterator[None]:
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_hang_up_that_is_ignored_stays_ignored(hang_up_ignored: None) -> None:
    with ending_at_once(), ending_between_steps() as poll:
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
        poll()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("first", STATUS, ids=lambda number: number.name)
def test_a_hang_up_that_follows_a_signal_only_says_it_again(first: signal.Signals) -> None:
    """The shell sends SIGHUP to its jobs, and then Linux, as the shell ends."""
    with pytest.raises(Stopped) as stop, ending_at_once():
        with pytest.raises(Stopped), ending_between_steps() as poll:
            os.kill(os.getpid(), first)
            os.kill(os.getpid(), signal.SIGHUP)
            poll()
        os.kill(os.getpid(), signal.SIGHUP)  # while a sweep is closed, say
        raise Stopped(first)
    assert stop.value.status == STATUS[first]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_the_same_signal_twice_in_a_moment_is_one(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """As `timeout` sends it, to the command and to its group; one that comes later ends at once."""
    with ending_between_steps() as poll:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        time.sleep(0.01)
        with pytest.raises(Stopped):
            poll()
        monkeypatch.setattr("gptlab.signals.SOON", 0.0)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), number)
            time.sleep(1)


@pytest.mark.slow
def test_a_terminal_that_is_closed_costs_nothing(tmp_path: Path) -> None:
    child, master = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.environ |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
        os.execv(sys.executable, [sys.executable, "-m", "gptlab", *LONG, "tracking=none"])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/*/samples.txt")):
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(master, False)
            os.read(master, 1 << 16)
        assert os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline
        time.sleep(0.02)
    os.close(master)
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert os.waitstatus_to_exitcode(ended[1]) == STATUS[signal.SIGHUP]
    assert len(list(tmp_path.glob("runs/*/*/checkpoints/step-*/SHA256SUMS"))) == 1
    assert not list(tmp_path.rglob("*.part"))


class Wrapping:
    """Python 3.11 raises a RuntimeError of its own for what a class's `__set_name__` raises."""

    def __set_name__(self, owner: type, name: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_a_signal_that_something_wraps_is_still_a_signal() -> None:
    with pytest.raises(Stopped) as stop, ending_at_once():
        try:
            type("Wrapped", (), {"field": Wrapping()})
        except RuntimeError as error:
            raise ValueError("a library's own words") from error
    assert stop.value.status == 130


@pytest.mark.slow
def test_a_signal_in_a_plugin_s_import_does_not_count_as_the_plugin_s_fault(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "wrapping.py").write_text(
        "import os, signal, time\n"
        "class Wrapping:\n"
        "    def __set_name__(self, owner, name):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(1)\n"
        "type('Wrapped', (), {'field': Wrapping()})\n"
    )
    command = [sys.executable, "-m", "gptlab", "plugins"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    first, *said = done.stderr.splitlines()
    assert (done.returncode, done.stdout, said) == (130, "", ["gptlab: stopped by Ctrl-C"])
    assert "for the first time: wrapping.py" in first


def test_what_python_notes_on_a_signal_s_way_is_not_said(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stopped(arguments: list[str]) -> int:
        stop = Stopped(signal.SIGINT)
        stop.told.append("at step 3 of 5")
        stop.add_note("Error calling __set_name__ on 'Wrapping' instance")  # as Python 3.12 and newer do
        raise stop

    monkeypatch.setattr(cli, "dispatch", stopped)
    assert cli.main([]) == 130
    assert capfd.readouterr() == ("", "gptlab: stopped by Ctrl-C at step 3 of 5\n")


class Swallowing:
    """Python ignores what is raised while it frees an object."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_a_signal_that_python_swallows_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with ending_at_once():
        swallowing = Swallowing()
        del swallowing
        with ending_between_steps() as poll, pytest.raises(Stopped):
            poll()
    assert capfd.readouterr() == ("", "")


IN_CPP = """
import enum, os, signal, sys, time
import numpy, ml_dtypes  # which jax's module in C++ would import: a Stopped in these does no harm
from gptlab.signals import Stopped, ending_at_once, ending_between_steps, makes_extension

call = enum.EnumType.__call__

def interrupted(*args, **kwargs):
    if makes_extension(sys._getframe()):
        enum.EnumType.__call__ = call
        os.kill(os.getpid(), signal.SIGINT)
    return call(*args, **kwargs)

try:
    with ending_at_once():
        enum.EnumType.__call__ = interrupted
        import jaxlib.xla_client
        with ending_between_steps() as poll:  # where Python has swallowed it, it is still known of
            while True:
                poll()
                time.sleep(0.01)
except Stopped as stopped:
    print(stopped, enum.EnumType.__call__ is call, "jaxlib._jax" in sys.modules)
"""


def test_a_signal_within_a_module_in_c_waits_until_it_is_made() -> None:
    done = subprocess.run([sys.executable, "-c", IN_CPP], capture_output=True, text=True, timeout=50)
    # The module in C is there; of the Python around it as much as was imported before the signal came again.
    assert (done.returncode, done.stdout, done.stderr) == (0, "Ctrl-C True True\n", "")


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in STATUS]
    with ending_at_once(), ending_between_steps():
        pass
    assert [signal.getsignal(number) for number in STATUS] == before


@pytest.mark.slow
@pytest.mark.parametrize("number", STATUS, ids=lambda number: number.name)
@pytest.mark.parametrize("lines", [1, 8, 10], ids="after-{}".format)
def test_a_check_that_is_interrupted_has_printed_what_it_found(
    start: Start, number: signal.Signals, lines: int
) -> None:
    process = start("check")
    assert process.stdout is not None
    found = [process.stdout.readline() for _ in range(lines)]
    time.sleep(0.4)  # it compiles
    process.send_signal(number)
    rest, error = process.communicate(timeout=60)
    assert all(line.startswith("ok ") for line in [*found, *rest.splitlines()])
    assert (process.returncode, error) == (STATUS[number], f"gptlab: {WORDS[number]}\n")
