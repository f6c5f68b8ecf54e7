"""A sweep whose launching process is killed while jobs run in others: they end, and whoever resumes it goes on."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.files import lock, write_json
from gptlab.runs.folder import RunFolder
from gptlab.sweeps.launcher import Launcher
from gptlab.sweeps.record import FINISHED, RUNNING, JobRecord, read_record
from gptlab.tracking.facts import PARENT
from gptlab.tracking.orphans import process
from tests.processes import children, start_python, wait_until
from tests.resuming import write_corpus
from tests.sweeping import QUICK, SEEDS, records_of, sweep_of
from tests.tracked import client

SLOW = """
import time

import gptlab


@gptlab.hookimpl
def gptlab_step_ended(run, step, metrics):
    time.sleep(0.02)
"""


def descendants(pid: int) -> list[int]:
    found = children(pid)
    return [*found, *(each for child in found for each in descendants(child))]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_jobs_end_with_the_process_that_launched_them_and_go_on_with_the_next(
    mlflow_folder: Path, launcher: str
) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.removesuffix('_local')}_launcher")
    write_corpus(mlflow_folder)
    (mlflow_folder / "plugins").mkdir()
    (mlflow_folder / "plugins/slow.py").write_text(SLOW)
    words = [word for word in QUICK if not word.startswith(("train.numSteps", "train.evalEvery"))]
    command = ["-m", "gptlab", "-m", f"+sweep={launcher}", *words, "seed=1,2", "listeners=[slow]"]
    command += ["train.numSteps=400", "train.evalEvery=0", "checkpoint.every=1000", "tracking.logModel=false"]
    command += ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else []
    # Not to pipes: whoever outlives the launcher would hold them open.
    with open(mlflow_folder / "said.txt", "w") as said:
        launching = start_python(mlflow_folder, *command, stdout=said, stderr=said)
        try:
            begun = mlflow_folder.glob
            wait_until(lambda: len(list(begun("runs/*/*/*/metrics.jsonl"))) == 2 or launching.poll(), 300)
            marks = [process(pid) for pid in descendants(launching.pid)]
        finally:
            launching.send_signal(signal.SIGKILL)
            launching.wait()
    resumed = start_python(mlflow_folder, *command, "sweep.resume=latest")
    try:
        out, error = resumed.communicate(timeout=400)
    finally:
        resumed.kill()
    assert resumed.returncode == 0, (out, error)
    assert {record.status for record in records_of(mlflow_folder).values()} == {"FINISHED"}, (out, error)
    for job in ("0", "1"):
        steps = sorted(
            int(p.name[5:]) for p in (sweep_of(mlflow_folder) / job / "checkpoints").glob("step-*")
        )
        assert steps[-1] == 400 and steps[0] < 400, "it was trained on without anybody to wait for it"
    wait_until(lambda: not {process(int(mark.split()[0])) for mark in marks if mark} & {*marks} - {None}, 60)
    runs = client().search_runs(["1"])
    assert sorted(run.info.status for run in runs) == ["FINISHED"] * 3
    assert len({run.data.tags.get(PARENT) for run in runs}) == 2


def record_in(folder: Path, job: str) -> JobRecord:
    return read_record(sweep_of(folder) / job / "job.json")


def while_waiting(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen once a job waits for another process."""
    left = [act]
    monkeypatch.setattr(Launcher, "poll", lambda launcher: left.pop()() if left else None)


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["FINISHED", "KILLED"])
def test_a_job_that_another_process_still_trains_is_waited_for_and_taken_as_it_ends(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    command = [*SEEDS[:-1], "seed=1,2", "tracking=none"]
    assert main(command) == 0
    place, record = sweep_of(folder) / "1", record_in(folder, "1")
    replace(record, status=RUNNING).write(place)
    held = lock(place)

    def end() -> None:
        replace(record, status=ends, reason="mine").write(place)
        held.release()

    while_waiting(monkeypatch, end)
    assert main([*command, "sweep.resume=latest"]) == 0
    out, error = capfd.readouterr()
    assert (
        error == ""
        and out.count("seed=2: another process is still training it; waiting for it to end\n") == 1
    )
    assert ("seed=2: finished before" in out) == (ends == "FINISHED")
    found = record_in(folder, "1")
    assert (found.status, found.reason) == (FINISHED, "mine" if ends == "FINISHED" else "")
    assert sorted(path.name for path in sweep_of(folder).glob("*/job.json")) == ["job.json"] * 2


@pytest.mark.slow
def test_waiting_for_it_ends_with_a_signal(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [*SEEDS[:-1], "seed=1,2", "tracking=none"]
    assert main(command) == 0
    place, record = sweep_of(folder) / "1", record_in(folder, "1")
    replace(record, status=RUNNING).write(place)
    while_waiting(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    with lock(place):
        assert main([*command, "sweep.resume=latest"]) == 130
    assert "stopped by Ctrl-C with 1 job finished; go on with" in capfd.readouterr().err


@pytest.mark.slow
def test_a_job_killed_before_it_knew_its_run_gets_no_second_one(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither if it is trained, nor if it fails before."""
    write_corpus(mlflow_folder)
    seeds = ["-m", *QUICK, "seed=1,2", "tracking.logModel=false"]
    assert main(seeds) == 0
    known = {run.info.run_id for run in client().search_runs(["1"])}
    place = sweep_of(mlflow_folder) / "1"

    def forget() -> None:
        """As it was between the making of the run and its id's coming back."""
        told = json.loads((place / "run.json").read_text())
        write_json(place / "run.json", {**told, "id": "", "status": "STARTING", "synced": False})
        replace(record_in(mlflow_folder, "1"), status=RUNNING, runId="").write(place)
        for name in ("metrics.jsonl", "samples.txt"):
            (place / name).unlink(missing_ok=True)
        for file in sorted((place / "checkpoints").rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()

    forget()

    def begin(*_: object) -> None:
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "begin", begin)
        assert main([*seeds, "sweep.resume=latest"]) == 1
    assert record_in(mlflow_folder, "1").status == "FAILED"
    assert {run.info.run_id for run in client().search_runs(["1"])} == known
    forget()
    assert main([*seeds, "sweep.resume=latest"]) == 0
    assert {run.info.run_id for run in client().search_runs(["1"])} == known
    assert record_in(mlflow_folder, "1").runId in known
