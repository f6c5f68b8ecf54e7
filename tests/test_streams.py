"""What a run prints is no reason to end it: readers that go, full disks, closed streams, too few letters."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from gptlab.cli import main
from gptlab.runs.checkpoint.folder import checkpoint_folders
from gptlab.streams import guarded, open_closed
from tests.repository import ROOT
from tests.resuming import TINY
from tests.sweeping import at_step, records_of

LOUD = [text for text in TINY if not text.startswith("progress=")]
RUN = [*LOUD, "engine=scalar", "train.numSteps=12", "train.evalEvery=2", "hydra.run.dir=run"]


def pipe_without_reader() -> IO[str]:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def full_disk() -> IO[str]:
    return open("/dev/full", "w")


def not_for_writing() -> IO[str]:
    return os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")


def terminal_that_is_gone() -> IO[str]:
    master, slave = os.openpty()
    os.close(master)
    return os.fdopen(slave, "w")


def closed() -> IO[str]:
    stream = io.StringIO()
    stream.close()
    return stream


BOTH = ("stdout", "stderr")
CASES = [
    *((kind, BOTH) for kind in (pipe_without_reader, not_for_writing, terminal_that_is_gone, closed)),
    *((full_disk, names) for names in (BOTH, ("stdout",), ("stderr",))),
    (pipe_without_reader, ("stdout",)),
]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], IO[str]], str], None]]:
    """`without(full_disk, "stdout")` has the process print there."""
    made = []

    def replace(kind: Callable[[], IO[str]], name: str) -> None:
        made.append(kind())
        monkeypatch.setattr(sys, name, made[-1])

    yield replace
    for stream in made:
        with contextlib.suppress(OSError):
            stream.close()


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "names"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_a_run_goes_on(folder: Path, without, kind, names, capsys) -> None:
    # A listener that fails is told of on standard error, after step 1.
    (folder / "plugins").mkdir()
    (folder / "plugins/broken.py").write_text(
        "import gptlab\n@gptlab.hookimpl\ndef gptlab_step_ended(step):\n    print('loud')\n    1 / 0\n"
    )
    for name in names:
        without(kind, name)
    assert main([*RUN, "listeners=[broken]"]) == 0
    assert [f.name for f in checkpoint_folders(Path("run"))] == ["step-000012"]
    said = capsys.readouterr()
    if names == ("stdout",):
        told = "gptlab: standard output could not be written"
        assert said.err.count(told) == (0 if kind is pipe_without_reader else 1)
        assert "the listener 'broken' failed" in said.err
    elif names == ("stderr",):
        assert "loud\n" in said.out and "run folder: run\n" in said.out


@pytest.mark.slow
def test_all_jobs_of_a_sweep_go_on(folder: Path, without) -> None:
    for name in BOTH:
        without(full_disk, name)
    assert main(["-m", *RUN[:-1], "seed=1,2"]) == 0
    assert [record.status for record in records_of(folder).values()] == ["FINISHED"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["100", "40"])
def test_a_terminal_that_goes_while_its_panel_is_drawn(folder: Path, monkeypatch, columns) -> None:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": columns, "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        monkeypatch.setattr(sys, "stderr", terminal)
        with monkeypatch.context() as patch:
            at_step(patch, job=1, step=5, act=lambda: os.close(master))
            assert main(RUN) == 0
    assert [f.name for f in checkpoint_folders(Path("run"))] == ["step-000012"]


@pytest.mark.slow
def test_letters_that_the_encoding_lacks_are_written_in_another_way(folder: Path, monkeypatch) -> None:
    Path("corpus.txt").write_text("öl fällt über 日本\n" * 40)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main([*RUN[:-1], "hydra.run.dir='größe'"]) == 0
    assert main(["generate", "run='größe'", "n=20", "topK=1"]) == 0
    stream.flush()
    shown = stream.buffer.getvalue().decode("ascii")
    assert "run folder: gr\\xf6\\xdfe\n" in shown and "\\u65e5" in shown


def test_a_name_that_is_no_text_is_written_too(monkeypatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    with guarded(forgives=False):
        print("größe", os.fsdecode(b"caf\xe9"), flush=True)
    assert stream.buffer.getvalue().decode() == "größe caf\\udce9\n"


@pytest.mark.parametrize("arguments", [["plugins"], ["--help"], ["--version"]], ids=" ".join)
def test_what_is_only_there_to_be_read_fails_if_it_cannot_be_written(without, arguments, capsys) -> None:
    without(full_disk, "stdout")
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.err == "gptlab: standard output must be writable: No space left on device.\n"
    without(pipe_without_reader, "stdout")
    assert main(arguments) == 1
    assert capsys.readouterr().err == ""


def test_a_mistake_keeps_its_exit_status_though_nobody_can_be_told(without) -> None:
    without(full_disk, "stderr")
    assert main(["nosuch"]) == 2


def test_a_library_that_closes_the_stream_it_was_given_closes_it_for_nobody(capfd) -> None:
    with guarded(forgives=True) as output:
        print("one")
        sys.stdout.close()
        print("two")
    output.close()
    print("three")
    assert capfd.readouterr().out == "one\ntwo\nthree\n"


def test_what_fails_for_a_while_is_written_again_later(monkeypatch) -> None:
    stream = io.StringIO()
    write, full = stream.write, [True]

    def writing(text: str) -> int:
        if full[0]:
            raise OSError(28, "No space left on device")
        return write(text)

    monkeypatch.setattr(stream, "write", writing)
    monkeypatch.setattr(sys, "stdout", stream)
    with guarded(forgives=True):
        print("lost")
        full[0] = False
        print("kept")
    assert stream.getvalue() == "kept\n"


CLOSED = """
import os, sys
from gptlab.cli import main
status = main(sys.argv[1:])
os.fstat(0), os.fstat(1), os.fstat(2)
opened = open("mine", "w")
assert opened.fileno() > 2
os._exit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_leads_nowhere_and_not_into_the_next_file(tmp_path: Path, closed: str) -> None:
    command = f'exec "$0" -c "$1" plugins {closed}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, CLOSED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "mine").read_text() == ""
    assert ("halfmul" in done.stdout or "gptlab" in done.stdout) == ("1>" not in closed)


def test_open_streams_stay_as_they_are() -> None:
    before = [os.fstat(number) for number in range(3)]
    open_closed()
    assert [os.path.samestat(a, os.fstat(n)) for n, a in enumerate(before)] == [True] * 3


@pytest.mark.slow
@pytest.mark.parametrize("output", ["| head -1", ">/dev/full", ">&- 2>&-"])
def test_the_command_ends_with_0(folder: Path, output: str) -> None:
    # Through exec, so that the exit status is the command's own, with all that Python does at its end.
    command = f'set -o pipefail; "$0" -m gptlab "$@" {output}'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, *RUN],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    told = "gptlab: standard output could not be written (No space left on device); going on without\n"
    assert done.stderr == (told if "full" in output else "")
    assert [f.name for f in checkpoint_folders(Path("run"))] == ["step-000012"]
