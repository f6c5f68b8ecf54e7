"""A sweep whose server goes away, and one whose jobs run in other processes and are to stop."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

from gptlab.cli import main
from gptlab.sweeps.sweep import read_sweep
from gptlab.tracking import orphans
from gptlab.tracking.facts import PARENT
from tests.processes import start_python, wait_until
from tests.resuming import write_corpus
from tests.sweeping import QUICK, SEEDS, at_step, records_of, sweep_of, typical
from tests.tracked import client, server


@pytest.mark.slow
def test_a_server_that_goes_away_does_not_stop_a_sweep(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_corpus(mlflow_folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*SEEDS[:-1], "seed=1,2", "tracking.logModel=false", f"tracking.uri=http://127.0.0.1:{port}"]
    with server(port) as kill, monkeypatch.context() as patch:
        at_step(patch, job=1, step=7, act=kill)
        assert main(command) == 0
    assert {record.status for record in records_of(mlflow_folder).values()} == {"FINISHED"}
    error = capfd.readouterr().err
    assert "mlflow: the summary is not on the parent run" in error
    folder = sweep_of(mlflow_folder)
    assert (folder / "summary.csv").is_file()
    parent = read_sweep(folder).id
    assert client().get_run(parent).info.status == "RUNNING"
    # The second run was never in the store: what it has to say is kept.
    identity = json.loads((folder / "1/run.json").read_text())
    assert (identity["id"], identity["synced"]) == ("", False)

    with server(port):
        for job in ("0", "1"):
            assert main(["sync", str(folder / job)]) == 0
        assert main([*command, "sweep.resume=latest"]) == 0
        through_server = MlflowClient(f"http://127.0.0.1:{port}")
        assert "summary.csv" in {file.path for file in through_server.list_artifacts(parent)}
    found = client().get_run(parent)
    assert found.info.status == "FINISHED" and found.data.metrics["jobs.finished"] == 2
    best = typical(records_of(mlflow_folder))
    assert (
        found.data.tags["bestRun"] == json.loads((folder / best.folder / "run.json").read_text())["id"] != ""
    )


def two_at_a_time(folder: Path, *overrides: str) -> "subprocess.Popen[str]":
    """A sweep of jobs that do not end by themselves, two of them in processes of joblib's."""
    long = [word for word in QUICK if not word.startswith("train.numSteps")]
    command = ["-m", "+sweep=joblib", "hydra.launcher.n_jobs=2", *long, "train.numSteps=10000000"]
    return start_python(folder, "-m", "gptlab", *command, *overrides)


@pytest.mark.slow
def test_jobs_in_other_processes_stop_after_their_step(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    write_corpus(tmp_path)
    process = two_at_a_time(tmp_path, "seed=1,2,3", "tracking=none")
    try:
        wait_until(lambda: len(list(tmp_path.glob("runs/*/*/*/metrics.jsonl"))) == 2, 120)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert error.startswith("gptlab: the jobs stop after the current step; stop once more to end at once\n")
    assert "stopped by Ctrl-C with 0 jobs finished; go on with: python -m gptlab -m" in error
    assert "2 killed" in out
    records = records_of(tmp_path)
    assert {name: record.status for name, record in records.items()} == {
        "seed=1": "KILLED",
        "seed=2": "KILLED",
    }
    for record in records.values():
        assert list((sweep_of(tmp_path) / record.folder / "checkpoints").glob("step-*"))
    left = {path.name for path in sweep_of(tmp_path).iterdir()}
    assert "stop" not in left and "2" not in left


@pytest.mark.slow
def test_a_job_whose_process_is_killed_is_killed_in_its_record_and_in_mlflow(mlflow_folder: Path) -> None:
    """Statuses are compared after the test, as after each; what is asked here is that the sweep has not succeeded."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    write_corpus(mlflow_folder)
    process = two_at_a_time(mlflow_folder, "seed=1,2", "tracking.logModel=false")

    def running() -> list[int]:
        tags = [run.data.tags for run in client().search_runs(["1"], "attributes.status = 'RUNNING'")]
        return [int(tag[orphans.PROCESS].split()[0]) for tag in tags if PARENT in tag]

    try:
        wait_until(lambda: len(running()) == 2, 300)
        os.kill(running()[0], signal.SIGKILL)
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 1, error
    assert "go on with: python -m gptlab -m" in error.lower()
    assert {record.status for record in records_of(mlflow_folder).values()} == {"KILLED"}, out
    assert read_sweep(sweep_of(mlflow_folder)).status == "FAILED"
