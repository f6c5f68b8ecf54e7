"""A store, or the folder of a run that is written to it, that is removed while the run goes on."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.runs.folder import RunFolder
from tests.processes import wait_until
from tests.resuming import write_corpus
from tests.sweeping import QUICK, at_step
from tests.tracked import client

COMMAND = [*QUICK, "tracking.logModel=false", "hydra.run.dir=run"]


def once_there_is_a_run(act: Callable[[], object]) -> Callable[[], object]:
    def wait_and_act() -> None:
        wait_until(lambda: RunFolder(Path("run")).id, 120)
        act()

    return wait_and_act


def remove_store() -> None:
    for file in Path().glob("mlflow.db*"):
        file.unlink()


def replace_store(template: Path) -> None:
    shutil.copy(template, "new.db")
    os.rename("new.db", "mlflow.db")
    for file in Path().glob("mlflow.db-*"):
        file.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_what_was_written_to_a_store_that_is_gone_is_in_the_next_one(
    mlflow_folder: Path, mlflow_template: Path, capfd: pytest.CaptureFixture[str], replaced: bool
) -> None:
    write_corpus(mlflow_folder)
    act = (lambda: replace_store(mlflow_template)) if replaced else remove_store
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=7, act=once_there_is_a_run(act))
        assert main(COMMAND) == 0
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "the store was removed or replaced while it was written to" in error
    told = json.loads(Path("run/run.json").read_text())
    (found,) = client().search_runs(["1"])
    assert (found.info.run_id, found.info.status) == (told["id"], told["status"]) and told["synced"]
    points = client().get_metric_history(told["id"], "train/loss")
    assert [point.step for point in points] == list(range(1, 21))


@pytest.mark.slow
@pytest.mark.parametrize("moved", [False, True], ids=["removed", "moved"])
def test_mlflow_follows_a_folder_that_was_removed_or_moved(
    mlflow_folder: Path, capfd: pytest.CaptureFixture[str], moved: bool
) -> None:
    write_corpus(mlflow_folder)
    act = (lambda: os.rename("run", "other")) if moved else (lambda: shutil.rmtree("run"))
    place = "other" if moved else "run"
    with pytest.MonkeyPatch.context() as patch:
        at_step(patch, job=1, step=7, act=once_there_is_a_run(act))
        assert main(COMMAND) == 2
    error = capfd.readouterr().err
    assert error.splitlines()[-1].endswith(f"go on with: python -m gptlab resume={place}")
    (found,) = client().search_runs(["1"])
    assert found.info.status == "FAILED" and "must stay where it is" in found.data.tags["error"]
    assert main([f"resume={place}"]) == 0
    (found,) = client().search_runs(["1"])
    assert found.info.status == "FINISHED"
    points = client().get_metric_history(found.info.run_id, "train/loss")
    assert [point.step for point in points] == list(range(1, 21))
