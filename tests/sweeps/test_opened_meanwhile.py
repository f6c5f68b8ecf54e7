"""The run of a sweep in MLflow, which its process makes while the first jobs are trained."""

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.files import write_json
from gptlab.runs.folder import RunFolder, SweepFolder
from gptlab.sweeps.job import Job
from gptlab.sweeps.record import read_records
from gptlab.tracking import connection, opening, orphans
from gptlab.tracking.connection import connections
from gptlab.tracking.facts import PARENT, begun_facts
from gptlab.tracking.opening import with_parent
from gptlab.tracking.parent import ParentSync, note_child, open_parent
from gptlab.tracking.store import Away, Store, find_store
from tests.resuming import TINY, write_corpus
from tests.sweeping import sweep_of
from tests.tracked import client

TRACKED = ["-m", *(word for word in TINY if not word.startswith("tracking=")), "tracking.logModel=false"]
DEEP = "a/b/c/d/e/f/1"  # as hydra.sweep.subdir may have it
SETTINGS = {"name": "mlflow", "uri": None, "experimentName": "gptlab", "wait": False}


@pytest.fixture
def late(mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which MLflow's process hears nothing for a while."""
    write_corpus(mlflow_folder)
    connections.close()
    start = connection.start

    def hold_back(*what: Any, **how: Any) -> Any:
        process = start(*what, **how)
        os.kill(process.pid, signal.SIGSTOP)
        threading.Timer(3.0, partial(go_on, process.pid)).start()
        return process

    monkeypatch.setattr(connection, "start", hold_back)
    return mlflow_folder


def go_on(pid: int) -> None:
    with suppress(ProcessLookupError):  # killed meanwhile
        os.kill(pid, signal.SIGCONT)


def family() -> tuple[str, dict[str, str]]:
    """The id of the parent run, and those of its children by name."""
    runs = client().search_runs([experiment.experiment_id for experiment in client().search_experiments()])
    (parent,) = (run.info.run_id for run in runs if PARENT not in run.data.tags)
    assert {run.data.tags.get(PARENT, parent) for run in runs} == {parent}
    return parent, {run.info.run_name: run.info.run_id for run in runs if run.info.run_id != parent}


@pytest.mark.slow
def test_jobs_begin_before_it_is_made_and_are_its_children(
    late: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[str] = []
    do = Job.do

    def note(self: Job, config: Any) -> Any:
        began.append(SweepFolder(self.root).id)
        return do(self, config)

    monkeypatch.setattr(Job, "do", note)
    assert main([*TRACKED, "seed=1,2,3"]) == 0
    assert began[:2] == ["", ""]
    parent, children = family()
    sweep = sweep_of(late)
    assert SweepFolder(sweep).id == parent
    assert {record.name: record.runId for record in read_records(sweep)} == children and len(children) == 3
    assert {RunFolder(sweep / name).identity()["tags"][PARENT] for name in "012"} == {parent}


@pytest.mark.slow
def test_jobs_that_fail_before_it_is_made_have_each_their_own_run(late: Path) -> None:
    assert main([*TRACKED, "sweep.jobs=2", "model.nEmbd=5,4,3,7,9"]) == 1
    parent, children = family()
    records = read_records(sweep_of(late))
    assert {record.name: record.runId for record in records} == children
    assert len(set(children.values())) == 5
    for record in records:
        assert client().get_run(record.runId).info.status == record.status
    assert client().get_run(parent).data.metrics["jobs.failed"] == 4


@pytest.mark.slow
def test_of_a_sweep_that_no_job_of_began_nothing_is_left(late: Path) -> None:
    assert main([*TRACKED, "model.nEmbd=5,7"]) == 2
    assert client().search_runs(["0", "1"]) == []
    assert not list(late.rglob("sweep.json"))


@pytest.mark.slow
def test_if_its_process_is_killed_another_one_makes_it(late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do, killed = Job.do, []

    def kill(self: Job, config: Any) -> Any:
        if not killed and connections.of_sweep is not None:
            killed.append(connections.of_sweep.pid)
            os.kill(killed[0], signal.SIGKILL)
        return do(self, config)

    monkeypatch.setattr(Job, "do", kill)
    assert main([*TRACKED, "seed=1,2"]) == 0
    _, children = family()
    assert len(children) == 2 and killed
    assert {client().get_run(run_id).info.status for run_id in children.values()} == {"FINISHED"}


def test_what_a_file_tells_without_mlflow_is_refused_at_once(mlflow_folder: Path) -> None:
    client().delete_experiment(client().create_experiment("gone"))
    sweep = begun(mlflow_folder)
    with pytest.raises(UserError, match="experiment 'gone' is deleted"):
        open_parent({**SETTINGS, "experimentName": "gone"}, "", sweep, waits=False)
    assert connections.of_sweep is None


def test_jobs_beside_each_other_get_the_answers_to_their_own_questions(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Echo:
        """A process of MLflow's that answers with what it was asked, and a stale answer before."""

        is_usable, owed = True, 1

        def __init__(self) -> None:
            self.answers: list[dict[str, Any]] = [{"is": "done", "id": "stale"}]

        def send(self, told: dict[str, Any], **message: Any) -> None:
            time.sleep(0.01)
            self.answers.append({"is": "done", "id": told["name"]})

        def receive(self, timeout: float) -> dict[str, Any]:
            time.sleep(0.01)
            return self.answers.pop(0)

    monkeypatch.setattr(connections, "of_sweep", Echo())
    found: dict[str, str] = {}

    def ask(name: str) -> None:
        found[name] = note_child(SETTINGS, "", mlflow_folder, name, {}, "refused")

    threads = [threading.Thread(target=ask, args=[f"job {i}"]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"job {i}": f"job {i}" for i in range(4)}


def begun(folder: Path, process: str = "") -> SweepFolder:
    sweep = SweepFolder(folder / "sweep")
    sweep.path.mkdir()
    store = find_store()
    facts = {**begun_facts({}), "store": store.address, "experiment": "e", "name": "sweep", "description": ""}
    sweep.update(**{**facts, "status": "RUNNING", **({"process": process} if process else {})})
    return sweep


@pytest.fixture
def store(mlflow_folder: Path) -> Store:
    return Store(**asdict(find_store()))


def test_a_job_s_run_waits_for_it(mlflow_folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = begun(mlflow_folder)
    job = sweep.path / "3"
    monkeypatch.setattr(opening, "PARENT_SECONDS", 0.2)
    with pytest.raises(Away, match="the run of its sweep is not there yet"):
        with_parent(client(), store, job, {PARENT: ""})
    monkeypatch.setattr(opening, "PARENT_SECONDS", 60.0)
    timer = threading.Timer(0.3, lambda: sweep.update(id="0123"))
    timer.start()
    assert with_parent(client(), store, job, {"a": "b", PARENT: ""}) == {"tags": {"a": "b", PARENT: "0123"}}
    timer.join()


@pytest.mark.parametrize("over", [True, False])
def test_it_is_made_for_a_job_where_nobody_else_will(mlflow_folder: Path, store: Store, over: bool) -> None:
    gone = "1 0123-1 on " + orphans.own_process().partition(" on ")[2]
    sweep = begun(mlflow_folder, process="" if over else gone)
    if over:
        sweep.update(status="FINISHED")
    made = [
        with_parent(client(), store, sweep.path / name, {PARENT: ""})["tags"][PARENT] for name in ("0", DEEP)
    ]
    assert set(made) == {sweep.id} and client().get_run(sweep.id).info.run_name == "sweep"
    sweep.update(status="FINISHED")
    assert ParentSync(client(), store, sweep).end() is None


def test_a_job_that_knows_it_or_has_none_is_as_it_was(mlflow_folder: Path, store: Store) -> None:
    sweep = begun(mlflow_folder)
    assert with_parent(client(), store, sweep.path / "0", {PARENT: "0123"}) == {}
    assert with_parent(client(), store, sweep.path / "0", {}) == {}
    assert with_parent(client(), store, mlflow_folder / "moved", {PARENT: ""}) == {}


def test_a_sweep_s_file_that_gptlab_did_not_write_makes_nothing(mlflow_folder: Path, store: Store) -> None:
    sweep = begun(mlflow_folder)
    write_json(sweep.path / sweep.FILE, {"status": "FINISHED", "name": 3})
    with pytest.raises(UserError, match=r"sweep\.json"):
        with_parent(client(), store, sweep.path / "0", {PARENT: ""})
