"""Jobs of a sweep that are over soon: sent to MLflow whole, by the one process that has the sweep, also after it."""

import csv
import json
import math
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.runs.folder import RunFolder, SweepFolder
from gptlab.sweeps.record import read_records
from gptlab.tracking import connection, left, orphans, run_ids, sweep_jobs, tracker
from gptlab.tracking.connection import Connections, connections
from gptlab.tracking.facts import PARENT, begun_facts
from gptlab.tracking.store import find_store
from gptlab.tracking.worker import Conversation
from tests.processes import start_python, wait_until
from tests.resuming import TINY, write_corpus
from tests.sweeping import sweep_of
from tests.tracked import client, make_run

SWEEP = [*(word for word in TINY if not word.startswith("tracking=")), "tracking.logModel=false"]
SWEEP += ["engine=xla", "train.numSteps=6", "train.logEvery=1", "train.evalEvery=3", "sweep.jobs=2"]
SWEEP = ["-m", *SWEEP, "seed=1,2,3,4"]


def check_all_there(folder: Path, jobs: int) -> None:
    """That MLflow's store has each of a sweep's jobs as its folder tells."""
    sweep = sweep_of(folder)
    records = read_records(sweep)
    children = {run.info.run_id: run for run in client().search_runs(["1"]) if PARENT in run.data.tags}
    assert sorted(record.runId for record in records) == sorted(children) and len(children) == jobs
    for record in records:
        run, place = children[record.runId], sweep / record.folder
        losses = client().get_metric_history(record.runId, "train/loss")
        rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        assert [(m.step, m.value) for m in losses] == [(row["step"], row["train/loss"]) for row in rows]
        assert record.valLoss == run.data.metrics["val/loss"] and run.info.status == "FINISHED"
        assert run.info.start_time <= run.info.end_time
        assert RunFolder(place).identity()["synced"] is True
    by_folder = {record.folder: record.runId for record in records}
    told = {name: json.loads((sweep / name / "job.json").read_text())["runId"] for name in by_folder}
    assert told == by_folder
    with (sweep / "summary.csv").open(newline="") as file:
        assert {row["folder"]: row["runId"] for row in csv.DictReader(file)} == by_folder
    parent = client().get_run(SweepFolder(sweep).id)
    table = json.loads(Path(client().download_artifacts(parent.info.run_id, "summary.json")).read_text())
    columns = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert {row["folder"]: row["runId"] for row in columns} == by_folder
    assert (parent.info.status, parent.data.metrics["jobs.finished"]) == ("FINISHED", jobs)


@pytest.mark.slow
@pytest.mark.parametrize(("long", "killed"), [(math.inf, False), (0.0, False), (math.inf, True)])
def test_the_store_has_all_whatever_process_sends_it(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch, long: float, killed: bool
) -> None:
    write_corpus(mlflow_folder)
    connections.close()
    started: list[str] = []
    start, send_job = connection.start, Connections.send_job

    def send_and_kill(self: Connections, *job: Any) -> bool:
        sent = send_job(self, *job)
        if killed and len(started) == 1 and self.of_sweep is not None:
            os.kill(self.of_sweep.pid, signal.SIGKILL)
        return sent

    monkeypatch.setattr(connection, "start", lambda *a, **how: started.append(a[0]) or start(*a, **how))
    monkeypatch.setattr(Connections, "send_job", send_and_kill)
    monkeypatch.setattr(tracker, "LONG", long)
    assert main(SWEEP) == 0
    assert (len(started) == 1) is (long == math.inf and not killed)
    check_all_there(mlflow_folder, 4)


@pytest.mark.slow
def test_the_prompt_comes_back_and_all_is_there_soon_after(
    mlflow_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (left.WAIT, *left.JOBS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    write_corpus(mlflow_folder)
    process = start_python(mlflow_folder, "-m", "gptlab", *SWEEP)
    said, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "") and ", still being sent; to wait for it: " in said
    notes = tmp_path / "state/gptlab" / left.FOLDER
    wait_until(lambda: not list(notes.glob("*")), 120)
    check_all_there(mlflow_folder, 4)


@pytest.fixture
def sweep(mlflow_folder: Path) -> Path:
    """The folder of a sweep that goes on, of this process."""
    folder = mlflow_folder / "sweep"
    folder.mkdir()
    SweepFolder(folder).update(**told("sweep"), description="d", status="RUNNING")
    return folder


def told(name: str) -> dict[str, Any]:
    facts = {**begun_facts({}), "store": find_store().address, "experiment": "e", "name": name}
    return {**facts, "process": orphans.own_process(), "synced": False}


def job_of(sweep: Path, number: int, status: str = "FINISHED") -> Path:
    """The folder of a job that is over."""
    (sweep / str(number)).mkdir()
    run = make_run(sweep / str(number), tags={PARENT: SweepFolder(sweep).id})
    RunFolder(run.folder).update(**told(f"job {number}"), status=status, ended=told("")["began"] + 1000)
    (run.folder / "metrics.jsonl").write_text('{"step": 1, "train/loss": 2.5}\n')
    return run.folder


def converse(sweep: Path, *actions: Any) -> list[dict[str, Any]]:
    """What MLflow's process answers of a sweep, until the process that runs it is gone."""
    replies: list[dict[str, Any]] = []
    waiting = iter([{"do": "open_sweep", "folder": str(sweep)}, *actions, None])

    class Inbox:
        def get(self, timeout: float) -> dict[str, Any] | None:
            while callable(message := next(waiting)):
                message()
            return None if message is None else {"store": asdict(find_store()), **message}

    Conversation(Inbox(), replies.append).hold()  # type: ignore[arg-type]
    return replies


def ends() -> dict[str, str]:
    return {str(run.info.run_name): run.info.status for run in client().search_runs(["1"])}


@pytest.mark.slow
def test_what_was_never_told_of_is_sent_at_the_end(sweep: Path) -> None:
    replies = converse(
        sweep,
        lambda: (job_of(sweep, 1), job_of(sweep, 2, "KILLED"), job_of(sweep, 3, "RUNNING")),
        {"do": "send_job", "folder": str(sweep / "1/run"), "fresh": True},
        lambda: SweepFolder(sweep).update(status="FINISHED"),
        {"do": "end_sweep", "folder": str(sweep)},
    )
    assert ends() == {"sweep": "FINISHED", "job 1": "FINISHED", "job 2": "KILLED"}
    assert replies[-1] == {"is": "done", "id": SweepFolder(sweep).id, "left": ""}


@pytest.mark.slow
def test_a_job_that_fails_is_tried_again_at_the_end_which_tells_of_it(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    send, tried = sweep_jobs.send_job, []

    def fail(client: Any, store: Any, folder: RunFolder, fresh: bool = False) -> None:
        tried.append(folder.path.parent.name)
        if folder.path.parent.name == "1":
            raise OSError("no room")
        send(client, store, folder, fresh)

    monkeypatch.setattr(sweep_jobs, "send_job", fail)
    monkeypatch.setattr("gptlab.tracking.worker.send_job", fail)
    note = left.note(sweep, "the store", os.getpid())
    replies = converse(
        sweep,
        lambda: (job_of(sweep, 1), job_of(sweep, 2)),
        {"do": "send_job", "folder": str(sweep / "1/run"), "fresh": True},
        {"do": "send_job", "folder": str(sweep / "2/run"), "fresh": True},
        lambda: SweepFolder(sweep).update(status="FINISHED"),
        {"do": "end_sweep", "folder": str(sweep), "note": str(note)},
    )
    assert tried == ["1", "1", "2"]  # not the second one, so soon after the first
    assert replies[-1]["left"] == "1 run could not be written whole: no room"
    assert ends() == {"sweep": "FINISHED", "job 2": "FINISHED"}
    assert list(left.failures()) == [
        "mlflow: the store: the sweep in sweep could not be written whole: 1 run could not be written whole: no room. "
        "To send the rest: python -m gptlab sync sweep"
    ]
    RunFolder(sweep / "1/run").update(synced=True)  # somebody has done so
    left.end_note(left.note(sweep, "the store", os.getpid()), "no room")
    assert list(left.failures()) == []


def test_a_sweep_whose_process_was_killed_has_what_was_told_of(sweep: Path) -> None:
    """By MLflow's process, which outlives it."""
    converse(
        sweep,
        lambda: job_of(sweep, 1),
        {"do": "send_job", "folder": str(sweep / "1/run"), "fresh": True},
    )
    assert ends() == {"sweep": "KILLED", "job 1": "FINISHED"}


def test_what_waits_for_a_run_waits_for_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "sweep/3").mkdir(parents=True)
    SweepFolder(tmp_path / "sweep").update(name="sweep")
    note = left.note(tmp_path / "sweep", "the store", os.getpid())
    assert note is not None
    asked: list[bool] = []
    monkeypatch.setattr(left.time, "sleep", lambda seconds: (asked.append(True), left.end_note(note, "")))
    left.wait_until_sent(tmp_path / "sweep/3")
    assert asked == [True] and not note.exists()


def test_ids_are_those_of_the_sweeps_own_runs(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    (sweep / "1").mkdir(parents=True)
    own, other = make_run(sweep / "1"), make_run(tmp_path)
    for folder, run_id in ((own.folder, "its"), (other.folder, "another's")):
        RunFolder(folder).update(id=run_id)
    (sweep / "link").symlink_to(sweep.parent)
    (sweep / "2").mkdir()
    (sweep / "2/job.json").symlink_to(sweep.parent / "told.json")
    (sweep.parent / "told.json").write_text('{"runId": ""}')
    RunFolder(sweep / "2").update(id="its")
    run_ids.name_jobs(sweep)
    assert not json.loads((sweep.parent / "told.json").read_text())["runId"]
    rows = [
        ["", "1/run"],
        ["known", "1/run"],
        ["", "../run"],
        ["", "link/run"],
        ["", str(other.folder)],
        ["short"],
    ]
    assert run_ids.name_runs(sweep, ["runId", "folder"], rows)
    assert rows[:2] == [["its", "1/run"], ["known", "1/run"]] and [row[0] for row in rows[2:5]] == [
        "",
        "",
        "",
    ]
