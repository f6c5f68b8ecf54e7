"""What is typed is meant from the folder that it is typed in, whatever `hydra.job.chdir` says."""

from pathlib import Path

import pytest

from gptlab.cli import main
from tests.launching import SMALL, check_store, gptlab
from tests.resuming import TINY

QUICK = [*TINY, "engine=scalar", "train.numSteps=3", "hydra.job.chdir=true"]


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["-m", "seed=1,2"]], ids=["one run", "a sweep"])
def test_relative_paths_are_read_from_where_the_command_is_typed(
    folder: Path, capfd: pytest.CaptureFixture[str], more: list[str]
) -> None:
    (folder / "experiments").mkdir()
    (folder / "experiments/mine.yaml").write_text("defaults: [tiny]\nseed: 3\n")
    assert main([*more[:1], *QUICK, *more[1:], "data.path=./corpus.txt", "+experiment=mine"]) == 0
    assert Path.cwd() == folder
    runs = list(folder.glob("runs/**/run.json"))
    assert len(runs) == (2 if more else 1)
    assert {path.name for path in folder.iterdir()} == {"corpus.txt", "experiments", "runs"}
    error = capfd.readouterr().err
    assert error.startswith("gptlab: hydra.job.chdir=true has no effect") and error.count("\n") == 1
    assert main(["resume=latest"]) == 2  # and found again from there
    assert "has finished its 3" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [[], ["+sweep=joblib", "hydra.launcher.n_jobs=2"]], ids=["basic", "joblib"]
)
def test_children_and_their_parent_are_in_one_store(mlflow_folder: Path, launcher: list[str]) -> None:
    done = gptlab(
        mlflow_folder,
        *SMALL,
        "seed=1,2",
        "hydra.job.chdir=true",
        "tracking.uri=sqlite:///mlflow.db",
        *launcher,
    )
    assert done.returncode == 0, done.stderr
    check_store(mlflow_folder)
    assert [path.parent for path in mlflow_folder.rglob("mlflow.db")] == [mlflow_folder]


@pytest.mark.slow
def test_a_folder_with_a_percent_sign_has_its_sweep_in_its_store(tmp_path: Path) -> None:
    folder = tmp_path / "feature%2Ffoo #1 é?"
    folder.mkdir()
    done = gptlab(folder, *SMALL, "seed=1,2")
    assert (done.returncode, done.stderr) == (0, "")
    check_store(folder)
    there = {path.name for path in folder.iterdir()} - {
        "mlflow.db-wal",
        "mlflow.db-shm",
    }  # of whoever still writes
    assert there == {"mlflow.db", "mlartifacts", "runs"}
