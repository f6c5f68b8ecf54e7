"""A run that goes on: the same MLflow run, no step of it twice and none left out, whatever killed it."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gptlab.errors import UserError
from gptlab.runs.folder import RunFolder
from gptlab.runs.run import Run
from gptlab.tracking import MLflowTracking, orphans
from gptlab.tracking.sync import alone
from tests.processes import start_python, wait_until
from tests.tracked import client, followed, log, make_run


def go_on(folder: Path, run_id: str, steps: range, error: BaseException | None = None, stop: str = "") -> Run:
    """Train these steps of the run with this id, or of a new one."""
    rows = (folder / "run/metrics.jsonl").exists()
    run = make_run(folder)
    run.id, run.resumed_from = run_id, steps.start - 1 if rows else None
    if not rows:
        RunFolder(run.folder).update(id=run_id)  # as `begin` has it
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)
    for step in steps:
        log(listeners, run, step, {"train/loss": 6.0 / step, **evaluated(step)}, f"text {step}")
    if stop:
        run.stop(stop)
    listeners.run_ended(run, error)
    return run


def evaluated(step: int) -> dict[str, float]:
    return {"val/loss": 5.0 / step} if step % 2 == 0 else {}


def history(run_id: str, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client().get_metric_history(run_id, key)]


@pytest.mark.slow
def test_a_resumed_run_has_every_step_once_and_ends_finished(mlflow_folder: Path) -> None:
    run = go_on(mlflow_folder, "", range(1, 6), KeyboardInterrupt())
    before = client().get_run(run.id)
    assert (before.info.status, before.data.tags["error"]) == ("KILLED", "interrupted")
    rows = [{"step": step, "train/loss": 6.0 / step, **evaluated(step)} for step in range(1, 8)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)  # 6 and 7 were never sent
    (run.folder / "metrics.jsonl").write_text(lines + '{"step": 8, "tr')

    RunFolder(run.folder).update(status="KILLED")
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    again = go_on(mlflow_folder, run.id, range(4, 11))
    assert again.id == run.id
    found = client().get_run(run.id)
    assert history(run.id, "train/loss") == [(step, 6.0 / step) for step in range(1, 11)]
    assert history(run.id, "val/loss") == [(step, 5.0 / step) for step in range(2, 11, 2)]
    assert len(history(run.id, "parameters.total")) == 1
    assert found.info.status == "FINISHED"
    assert "error" not in found.data.tags
    assert found.data.tags["mlflow.note.content"] == run.description
    assert found.data.params == before.data.params
    assert len(found.inputs.dataset_inputs) == 1
    assert len(client().search_runs([found.info.experiment_id])) == 1
    assert len(client().list_artifacts(run.id, "samples")) == 10


@pytest.mark.slow
def test_a_run_that_cannot_go_on_is_refused(mlflow_folder: Path) -> None:
    experiment = client().create_experiment("gptlab")
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        mark = orphans.process(other.pid)
        assert mark is not None
        tags = {orphans.HOST: orphans.host(), orphans.PROCESS: mark}
        trained = client().create_run(experiment, tags=tags).info.run_id
        deleted = client().create_run(experiment).info.run_id
        client().delete_run(deleted)
        for run_id, message in [
            ("0" * 32, "is not in sqlite.*tracking=none"),
            (deleted, f"restore --run-id {deleted}"),
            (trained, f"trained by process {other.pid}"),
        ]:
            with pytest.raises(UserError, match=message):
                go_on(mlflow_folder, run_id, range(1, 2))
        assert client().get_run(trained).data.tags[orphans.PROCESS] == mark
    finally:
        other.communicate(b"\n")
    assert go_on(mlflow_folder, trained, range(1, 2)).id == trained, "its process is gone now"


def test_one_process_at_a_time_writes_a_run(tmp_path: Path) -> None:
    first = alone(tmp_path)
    with pytest.raises(UserError, match="still being written"):
        alone(tmp_path, 0.2)
    first.release()
    alone(tmp_path).release()


# Whole commands

# Slow enough that MLflow is loaded long before the end.
COMMAND = ["data=questions", "engine=scalar", "model.nEmbd=8", "model.nLayer=2", "model.nHead=2"]
COMMAND += [
    "train.numSteps=3000",
    "train.logEvery=1",
    "train.evalEvery=0",
    "data.valFraction=0",
    "samples.n=0",
]
COMMAND += ["checkpoint.every=20", "progress=none", "hydra.run.dir=kept"]


def newest_step(folder: Path) -> int:
    """The last step in metrics.jsonl."""
    path = folder / "kept/metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return len(lines)


@pytest.mark.slow
def test_sigkill_and_resume_leave_one_run_without_gap_or_double(mlflow_folder: Path) -> None:
    arguments, reached = COMMAND, 0
    for kill in range(3):
        process = start_python(mlflow_folder, "-m", "gptlab", *arguments, stderr=subprocess.STDOUT)
        goal = reached + 150

        def far_enough(process: subprocess.Popen[str] = process, goal: int = goal) -> bool:
            assert process.poll() is None, process.communicate()[0]
            return newest_step(mlflow_folder) >= goal

        wait_until(far_enough, 120)
        if kill == 1:
            # While the run is open in the store: else the kill comes before MLflow is even loaded.
            wait_until(lambda: "RUNNING" in {run.info.status for run in client().search_runs(["1"])}, 120)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        reached = newest_step(mlflow_folder)
        arguments = ["resume=kept", "progress=none"]
    assert reached < 3000, "it was to be killed on the way"
    process = start_python(mlflow_folder, "-m", "gptlab", *arguments, stderr=subprocess.STDOUT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    run_id = json.loads((mlflow_folder / "kept/run.json").read_text())["id"]
    (found,) = client().search_runs(["1"])
    assert found.info.run_id == run_id
    assert found.info.status == "FINISHED"
    for key in ("train/loss", "train/gradNorm", "train/learningRate"):
        assert [step for step, _ in history(run_id, key)] == list(range(1, 3001)), key
    rows = [json.loads(line) for line in (mlflow_folder / "kept/metrics.jsonl").read_text().splitlines()]
    assert [value for _, value in history(run_id, "train/loss")] == [row["train/loss"] for row in rows]
    assert RunFolder(mlflow_folder / "kept").identity()["synced"] is True
    steps = [file.path for file in client().list_artifacts(run_id, "checkpoints")]
    assert steps == [
        str(p.relative_to(mlflow_folder / "kept")) for p in sorted(mlflow_folder.glob("kept/checkpoints/*"))
    ]


# Checkpoints as artifacts


@pytest.mark.slow
def test_checkpoints_are_artifacts_and_those_removed_are_not(
    mlflow_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"train": {"numSteps": 9}, "tracking": {"logModel": False}}
    run = make_run(mlflow_folder, config=config)
    tracker = MLflowTracking().start()
    listeners = followed(run, tracker)
    tracker.wait_until_ready(120)

    def save(step: int, *removed: int) -> Path:
        folder = run.folder / f"checkpoints/step-{step:06d}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"weights")
        gone = [run.folder / f"checkpoints/step-{old:06d}" for old in removed]
        for path in gone:
            shutil.rmtree(path)
        listeners.checkpoint_saved(run, folder, step, gone)
        return folder

    def logged() -> list[str]:
        return [Path(file.path).name for file in client().list_artifacts(run.id, "checkpoints")]

    save(1)
    wait_until(lambda: logged() == ["step-000001"])
    save(2)
    save(3, 1, 2)  # 2 is gone before it was logged, or just after
    vanished = save(4)
    shutil.rmtree(vanished)
    log(listeners, run, 4, {"train/loss": 1.0})
    listeners.run_ended(run, None)
    assert set(logged()) in ({"step-000003"}, {"step-000003", "step-000004"})
    files = client().list_artifacts(run.id, "checkpoints/step-000003")
    assert [file.path for file in files] == ["checkpoints/step-000003/weights.safetensors"]
    assert capsys.readouterr().err == ""
    assert client().get_run(run.id).info.status == "FINISHED"


@pytest.mark.slow
def test_why_a_run_was_stopped_is_a_tag_until_it_goes_on_to_its_end(mlflow_folder: Path) -> None:
    run = go_on(mlflow_folder, "", range(1, 3), stop="it is good enough")
    found = client().get_run(run.id)
    assert (found.info.status, found.data.tags["stopped"]) == ("FINISHED", "it is good enough")
    assert "error" not in found.data.tags
    again = go_on(mlflow_folder, run.id, range(3, 5))
    assert again.id == run.id and "stopped" not in client().get_run(run.id).data.tags
