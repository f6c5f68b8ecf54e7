"""What ends all processes of a run at once: scancel, systemd, a shutdown, a terminal that goes, no memory left."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gptlab.runs.folder import RunFolder
from gptlab.tracking.worker import NICENESS
from tests.processes import children, start_python, wait_until
from tests.resuming import TINY, write_corpus
from tests.statuses import stored_runs
from tests.tracked import client
from tests.tracking.killing import different_rows

LONG = [word for word in TINY if not word.startswith("tracking=")]
LONG += ["engine=scalar", "train.numSteps=100000", "train.evalEvery=50", "checkpoint.every=50"]
LONG += ["tracking.logModel=false", "hydra.run.dir=run"]


@pytest.fixture
def trained(mlflow_folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A command that trains, and of which the store has something."""
    write_corpus(mlflow_folder)
    process = start_python(mlflow_folder, "-m", "gptlab", *LONG, start_new_session=True)

    def begun() -> bool:
        assert process.poll() is None, process.communicate()
        found = RunFolder(mlflow_folder / "run").id
        return bool(found) and "val/loss" in client().get_run(found).data.metrics

    try:
        wait_until(begun, 90)
        yield process
    finally:
        for pid in [process.pid, *children(process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def send(number: signal.Signals, process: "subprocess.Popen[str]", group: bool = False) -> None:
    """To all processes of the command, as a job's are known to who ends it; group: as a terminal's are."""
    if group:
        os.killpg(process.pid, number)
        return
    for pid in [*children(process.pid), process.pid]:
        os.kill(pid, number)


def check_store(folder: Path) -> None:
    """The store tells of the run all that its folder does."""
    run = RunFolder(folder / "run")
    assert different_rows(folder) == []
    assert run.rows() and run.checkpoints()
    assert stored_runs(folder / "mlflow.db")[run.id].status == run.status == "KILLED"
    known = {file.path for file in client().list_artifacts(run.id, "checkpoints")}
    assert known == {f"checkpoints/{place.name}" for place in run.checkpoints()}
    for place in run.checkpoints():
        there = {
            file.path.rpartition("/")[2]
            for file in client().list_artifacts(run.id, f"checkpoints/{place.name}")
        }
        assert there == {file.name for file in place.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["each process", "the group"])
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name
)
def test_what_ends_the_training_leaves_mlflow_the_time_to_write_its_end(
    trained: "subprocess.Popen[str]", mlflow_folder: Path, number: signal.Signals, group: bool
) -> None:
    send(number, trained, group)
    _, error = trained.communicate(timeout=60)
    assert trained.returncode == 128 + number
    assert error.startswith("gptlab: stopped by") and error.count("\n") == 1, error
    check_store(mlflow_folder)


@pytest.mark.slow
def test_after_a_kill_of_everything_sync_makes_mlflow_right(
    trained: "subprocess.Popen[str]", mlflow_folder: Path
) -> None:
    send(signal.SIGKILL, trained)
    trained.communicate(timeout=60)
    assert RunFolder(mlflow_folder / "run").status == "RUNNING"
    done = start_python(mlflow_folder, "-m", "gptlab", "sync", "run")
    output, error = done.communicate(timeout=90)
    assert done.returncode == 0 and output.startswith("sent to "), error
    check_store(mlflow_folder)


@pytest.mark.slow
def test_after_a_kill_of_mlflow_s_process_another_one_writes_the_rest(
    trained: "subprocess.Popen[str]", mlflow_folder: Path
) -> None:
    (mlflow,) = children(trained.pid)
    training, writing = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (trained.pid, mlflow))
    assert writing == min(19, training + NICENESS), "it gives way to training"
    os.kill(mlflow, signal.SIGKILL)
    wait_until(lambda: set(children(trained.pid)) - {mlflow})
    trained.send_signal(signal.SIGTERM)
    _, error = trained.communicate(timeout=90)
    assert trained.returncode == 128 + signal.SIGTERM
    assert error.splitlines()[0].endswith("its process has ended; another one goes on"), error
    check_store(mlflow_folder)
