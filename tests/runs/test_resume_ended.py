"""A run that is killed after its last checkpoint has taken all its steps, and is ended by the next command."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.runs.checkpoint.folder import checkpoint_folders, read_checkpoint
from gptlab.runs.checkpoint.newest import name_run, put_back
from gptlab.runs.files import RUN, RUN_FILES
from gptlab.runs.resuming import lacks_its_end
from tests.repository import ROOT
from tests.resuming import TINY, assert_same_end, write_corpus

SMALL = [*TINY, "engine=scalar", "train.numSteps=7", "checkpoint.every=3", "checkpoint.keep=2"]
# Killed once the last checkpoint is there, before what follows it.
KILLED = """
import os, signal, sys, time
from gptlab.cli import main
from gptlab.launch.observers import Watch

def kill(self, state):
    if "WAITING" in os.environ:
        time.sleep(float(os.environ["WAITING"]))
    os.kill(os.getpid(), signal.SIGKILL)

Watch.ended = kill
main(sys.argv[1:])
"""


def train_killed(*arguments: str, **variables: str) -> None:
    """The command in a process of its own, which is killed after the run's last checkpoint."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def status_of(run: Path) -> str:
    return str(json.loads((run / RUN).read_text())["status"])


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["resume", "sync"])
def test_resume_and_sync_end_it(folder: Path, verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "hydra.run.dir=whole"]) == 0
    assert not lacks_its_end(Path("whole"))
    train_killed(*SMALL, "hydra.run.dir=run", "checkpoint.keep=9")
    run = Path("run")
    assert status_of(run) == "RUNNING" and lacks_its_end(run)
    # Checkpoints that had to go once the last one was there had not gone yet.
    resume = ["resume=run", "progress=auto", "checkpoint.keep=2"]
    assert main(resume if verb == "resume" else ["sync", "run"]) == 0
    out, error = capfd.readouterr()
    assert error == ""
    assert ("its 7 steps are done: finishing what comes after them" in out) == (verb == "resume")
    assert status_of(run) == "FINISHED"
    assert_same_end(run, Path("whole"))
    kept = (
        ["step-000006", "step-000007"] if verb == "resume" else ["step-000003", "step-000006", "step-000007"]
    )
    assert [f.name for f in checkpoint_folders(run)] == kept
    assert main(["resume=run"]) == 2
    assert "run has finished its 7" in capfd.readouterr().err


@pytest.mark.slow
def test_one_with_steps_left_is_not_for_sync(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "hydra.run.dir=run"]) == 0
    (Path("run") / RUN).write_text((Path("run") / RUN).read_text().replace("FINISHED", "KILLED"))
    assert lacks_its_end(Path("run"))
    shutil.rmtree("run/checkpoints/step-000007")
    assert not lacks_its_end(Path("run"))
    assert main(["sync", "run"]) == 0
    assert capfd.readouterr().out == "run has nothing left to send\n"


@pytest.mark.slow
def test_an_imported_one_has_none_to_be_ended(folder: Path) -> None:
    assert main([*SMALL, "hydra.run.dir=run"]) == 0
    assert main(["export", "run", "output=weights.json"]) == 0
    assert main(["import", "weights.json", "tokenizer.path=corpus.txt"]) == 0
    (imported,) = folder.glob("runs/*/*/run.json")
    assert status_of(imported.parent) == "FINISHED"


@pytest.mark.slow
def test_in_mlflow_too(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    write_corpus(mlflow_folder)
    tracked = [word for word in SMALL if word != "tracking=none"]
    train_killed(*tracked, "hydra.run.dir=run", "inspect.every=4", WAITING="8")
    client = MlflowClient(tracking_uri=f"sqlite:///{mlflow_folder}/mlflow.db")
    assert lacks_its_end(Path("run"))

    assert main(["resume=run"]) == 0
    identity = json.loads(Path("run/run.json").read_text())
    assert identity["status"] == "FINISHED"
    (found,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert found.info.run_id == identity["id"]
    assert (found.info.status, found.data.tags.get("error")) == ("FINISHED", None)
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    history = client.get_metric_history(identity["id"], "train/loss")
    assert sorted(p.step for p in history) == [row["step"] for row in rows if "train/loss" in row]
    logged = {file.path for file in client.list_artifacts(identity["id"], "checkpoints")}
    assert "checkpoints/step-000007" in logged
    # The run was new when its checkpoints were saved, and MLflow still loading.
    assert {f.name for f in checkpoint_folders(Path("run"))} >= {"step-000006", "step-000007"}
    for checkpoint in checkpoint_folders(Path("run")):
        assert read_checkpoint(checkpoint).state["run"]["id"] == identity["id"]
    assert {path.name for path in Path("run").iterdir()} <= set(RUN_FILES)


@pytest.mark.slow
def test_the_id_that_a_checkpoint_gets_later_leaves_it_whole(folder: Path) -> None:
    assert main([*SMALL, "hydra.run.dir=run"]) == 0
    place = Path("run/checkpoints/step-000007")
    before = read_checkpoint(place)
    assert before.state["run"]["id"] == ""
    name_run(place, "abc")
    after = read_checkpoint(place)
    before.state["run"]["id"] = "abc"
    assert after.state == before.state
    assert {path.name for path in place.parent.iterdir()} == {"step-000006", "step-000007"}
    name_run(place, "another")
    assert read_checkpoint(place).state["run"]["id"] == "abc"

    # Killed in the one moment in which it has no name.
    os.rename(place, place.with_name(f".{place.name}.unnamed.part"))
    put_back(Path("run"))
    assert read_checkpoint(place).state == after.state
    assert len(list(place.parent.iterdir())) == 2


@pytest.mark.slow
def test_a_damaged_one_gets_none(folder: Path) -> None:
    """New digests would make it look whole."""
    assert main([*SMALL, "hydra.run.dir=run"]) == 0
    place = Path("run/checkpoints/step-000007")
    (place / "state.json").write_bytes((place / "state.json").read_bytes() + b"\n")
    name_run(place, "abc")
    with pytest.raises(UserError, match=r"state\.json is damaged"):
        read_checkpoint(place)
