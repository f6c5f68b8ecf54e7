"""A run whose end MLflow's process sends by itself, after the command: what it is told, and what becomes of it."""

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.files import read_json, write_json
from gptlab.runs.folder import RunFolder
from gptlab.tracking import MLflowTracking, left, orphans
from gptlab.tracking.connection import connections
from gptlab.tracking.facts import PARENT
from tests.processes import start_python, wait_until
from tests.resuming import TINY, write_corpus
from tests.statuses import stored_runs
from tests.tracked import followed, log, make_run, make_store
from tests.tracking.conversing import converse, over, row
from tests.tracking.killing import different_rows

GONE = "1 0-0"  # the mark of a process that has ended
RUN = [word for word in TINY if not word.startswith(("tracking=", "progress="))]
RUN += ["engine=scalar", "train.numSteps=3", "tracking.logModel=false", "hydra.run.dir=run"]


@pytest.fixture
def unwaited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As users have it: no run is waited for. Where the notes are."""
    for name in (left.WAIT, *left.JOBS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/gptlab" / left.FOLDER


def command(folder: Path, *words: str) -> tuple[str, str]:
    """What a command says, and what it complains of."""
    process = start_python(folder, "-m", "gptlab", *words)
    said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


@pytest.mark.slow
def test_the_prompt_comes_back_and_the_store_is_whole_soon_after(unwaited, mlflow_folder):
    write_corpus(mlflow_folder)
    output, error = command(mlflow_folder, *RUN)
    assert error == "" and "still being sent" in output
    assert "wait for MLflow: python -m gptlab sync run\n" in output
    told = RunFolder(mlflow_folder / "run")
    assert told.status == "FINISHED" and told.rows()[-1][0] == 3 and told.checkpoints()
    output, error = command(mlflow_folder, "sync", "run")  # which the process may have done by then
    assert error == "" and ("nothing left to send" in output or output.startswith("sent to ")), output
    wait_until(lambda: not list(unwaited.glob("*")), 60)
    stored = stored_runs(mlflow_folder / "mlflow.db")
    assert list(stored) == [told.id] and stored[told.id].status == "FINISHED"
    assert different_rows(mlflow_folder) == [] and told.identity()["synced"] is True


@pytest.mark.slow
def test_of_a_process_that_was_killed_the_next_command_tells_and_sync_makes_it_right(unwaited, mlflow_folder):
    write_corpus(mlflow_folder)
    make_store(mlflow_folder)
    with closing(sqlite3.connect(mlflow_folder / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # until then nothing is sent
        command(mlflow_folder, *RUN)
        (note,) = unwaited.glob("*.json")
        os.kill(int(read_json(note)["writer"].partition(" ")[0]), signal.SIGKILL)
    told = RunFolder(mlflow_folder / "run")
    assert told.identity()["synced"] is False
    _, error = command(mlflow_folder, "plugins")
    assert error.startswith("mlflow: ") and error.count("\n") == 1, error
    assert "its process ended before all was sent" in error
    assert error.endswith("To send the rest: python -m gptlab sync run\n")
    assert command(mlflow_folder, "plugins")[1] == ""  # once is enough
    output, _ = command(mlflow_folder, "sync", "run")
    assert output.startswith("sent to ")
    assert stored_runs(mlflow_folder / "mlflow.db")[told.id].status == "FINISHED"
    assert different_rows(mlflow_folder) == []


class Process:
    """What stands for MLflow's process: it says that all is well as soon as that is waited for."""

    pid = os.getpid()

    def __init__(self) -> None:
        self.lives, self.sent = True, []
        self.replies = iter(
            [{"is": "started", "id": "0123"}, {"is": "ended", "message": "", "registered": ""}]
        )

    def receive(self, timeout):
        return next(self.replies) if timeout > 0 else None

    def send(self, **message):
        self.sent.append(message)

    def leave(self):
        return self.lives


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """What the next tracker takes for MLflow's process."""
    process = Process()
    monkeypatch.setattr(connections, "take", lambda: process)
    monkeypatch.setattr(connections, "keep", lambda connection: None)
    return process


def ended(run, **settings):
    """A run of one step that has ended well."""
    listeners = followed(run, MLflowTracking(**settings).start())
    if not run.config.get("none"):
        log(listeners, run, 1, {"train/loss": 1.0})
    listeners.run_ended(run, None)
    return run


def test_a_run_that_has_ended_well_is_left(unwaited, process, mlflow_folder):
    run = ended(make_run(mlflow_folder))
    (note,) = unwaited.glob("*.json")
    assert process.sent[-1] == {"do": "end", "note": str(note)} and run.sent_later
    assert read_json(note)["folder"] == str(run.folder) and orphans.lives(read_json(note)["writer"])


def waited_for(run, process, unwaited) -> bool:
    assert process.sent[-1]["do"] == "end" and next(process.replies, None) is None
    notes = list(unwaited.glob("*")) if unwaited.is_dir() else []
    return "note" not in process.sent[-1] and not run.sent_later and not notes


@pytest.mark.parametrize("reason", ["variable", "job", "first", "no home"])
def test_where_nothing_may_be_left_a_run_is_waited_for(reason, unwaited, process, mlflow_folder, monkeypatch):
    run = make_run(mlflow_folder)
    if reason == "variable":
        monkeypatch.setenv(left.WAIT, "1")
    elif reason == "job":
        monkeypatch.setenv("SLURM_JOB_ID", "7")
    elif reason == "first":
        monkeypatch.setattr(left, "own_id", lambda: 1)
    else:
        monkeypatch.setenv("XDG_STATE_HOME", str(mlflow_folder / "mlflow.db"))  # a file
    assert waited_for(ended(run), process, unwaited)


@pytest.mark.parametrize("reason", ["key", "sweep", "register", "no step"])
def test_a_run_is_waited_for(reason, unwaited, process, mlflow_folder):
    config = {"train": {"numSteps": 2}, "none": reason == "no step"}
    config |= {"register": "tiny"} if reason == "register" else {}
    run = make_run(mlflow_folder, config=config, tags={PARENT: "0123"} if reason == "sweep" else {})
    assert waited_for(ended(run, wait=reason == "key"), process, unwaited)


def test_the_runs_of_one_command_are_waited_for(unwaited, process, mlflow_folder):
    with connections.in_background():
        run = ended(make_run(mlflow_folder))
    assert waited_for(run, process, unwaited)


def test_a_process_that_is_gone_already_is_not_left(unwaited, process, mlflow_folder):
    process.lives = False
    assert waited_for(ended(make_run(mlflow_folder)), process, unwaited)


@pytest.mark.slow
@pytest.mark.parametrize("away", [False, True])
def test_the_process_ends_the_note(away, unwaited, flaky, mlflow_folder):
    run = make_run(mlflow_folder)
    note = left.note(run.folder, "sqlite:///mlflow.db", os.getpid())
    converse(flaky, run, row(run, 1), away, over(run), {"do": "end", "note": str(note)})
    assert RunFolder(run.folder).identity()["synced"] is not away
    assert note.exists() is away
    if away:
        (line,) = left.failures()
        assert line == (
            "mlflow: sqlite:///mlflow.db: the run in run could not be written whole: the store is away. "
            "To send the rest: python -m gptlab sync run"
        )


def test_what_needs_the_rest_of_a_run_waits_for_it_and_not_in_vain(unwaited, tmp_path):
    for own in (os.getpid(), None):
        note = left.note(tmp_path, "store", os.getpid())
        if own is None:
            write_json(note, {**read_json(note), "writer": GONE})
        else:
            threading.Timer(0.3, left.end_note, (note, "")).start()
        began = time.monotonic()
        left.wait_until_sent(tmp_path, 30.0)
        took = time.monotonic() - began
        assert note.exists() is (own is None) and (took < 0.3 if own is None else 0.2 < took < 20)
    left.end_note(note, "the disk is full")
    left.wait_until_sent(tmp_path, 30.0)
    left.wait_until_sent(tmp_path / "another", 30.0)
    assert time.monotonic() - began < 20


def test_the_next_command_tells_what_was_not_sent_and_only_that(unwaited, mlflow_folder, capsys):
    run = make_run(mlflow_folder)
    note = left.note(run.folder, "the store", os.getpid())
    told = read_json(note)
    RunFolder(run.folder).update(synced=False)
    assert main(["plugins"]) == 0 and capsys.readouterr().err == "" and note.exists()  # it goes on
    note.write_text(note.read_text().replace(told["writer"], GONE))
    assert main(["plugins"]) == 0
    error = capsys.readouterr().err
    assert "the run in run could not be written whole: its process ended" in error and error.count("\n") == 1
    assert main(["plugins"]) == 0 and capsys.readouterr().err == "" and not note.exists()
    # Whole by now; gone with its folder; damaged.
    RunFolder(run.folder).update(synced=True)
    left.end_note(left.note(run.folder, "the store", os.getpid()), "the disk was full")
    left.end_note(left.note(mlflow_folder / "elsewhere", "the store", os.getpid()), "the disk was full")
    (unwaited / "damaged.json").write_text('{"folder": 3}')
    assert list(left.failures()) == [] and not list(unwaited.glob("*"))


@pytest.mark.slow
def test_completion_tells_nothing(unwaited, mlflow_folder, capsys):
    run = make_run(mlflow_folder)
    RunFolder(run.folder).update(synced=False)
    left.end_note(left.note(run.folder, "the store", os.getpid()), "the disk was full")
    main(["-sc", "query=bash"])
    assert "the disk was full" not in "".join(capsys.readouterr())
    assert len(list(left.failures())) == 1


def test_a_command_with_nothing_to_tell_loads_nothing_for_it(unwaited):
    code = "import sys; from gptlab.tracking.left import failures; assert not list(failures()); "
    code += "assert 'gptlab.runs.folder' not in sys.modules and 'gptlab.tracking.orphans' not in sys.modules"
    process = start_python(Path.cwd(), "-c", code, stdout=None, stderr=None)
    assert process.wait(60) == 0
