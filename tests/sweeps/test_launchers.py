"""Sweeps in several processes: joblib and submitit. Ray's tests are in test_ray."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.launching import SMALL, check_store, gptlab, jobs_of, sweep_of, with_plugin


@pytest.mark.slow
def test_joblib_processes_lose_no_metric(mlflow_folder: Path) -> None:
    """Ten jobs in four processes, all of which write to one SQLite store, among them one that is refused."""
    done = gptlab(
        mlflow_folder,
        *SMALL,
        "seed=range(0,5)",
        "model.nLayer=1,2",
        "+sweep=joblib",
        "hydra.launcher.n_jobs=4",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert set(jobs_of(mlflow_folder)) == {
        f"nLayer={depth} seed={seed}" for seed in range(5) for depth in (1, 2)
    }
    check_store(mlflow_folder)
    assert "10 jobs: 10 finished" in done.stdout


@pytest.mark.slow
def test_submitit_runs_jobs_with_plugins_of_this_folder_and_a_failed_one_is_told(mlflow_folder: Path) -> None:
    with_plugin(mlflow_folder)
    root = ["schedule=root", "schedule.shape.power=2.0"]
    done = gptlab(mlflow_folder, *SMALL, *root, "model.nHead=1,3", "+sweep=submitit_local")
    assert done.returncode == 1, done.stderr
    jobs = jobs_of(mlflow_folder)
    assert {name: job["status"] for name, job in jobs.items()} == {"nHead=1": "FINISHED", "nHead=3": "FAILED"}
    assert "nHead must divide nEmbd" in jobs["nHead=3"]["reason"]
    assert "nHead must divide nEmbd" in done.stdout
    assert list(sweep_of(mlflow_folder).glob(".submitit/*/*_log.out")), "not submitit's processes"
    assert last_rate(sweep_of(mlflow_folder) / "0") == pytest.approx(0.01 * (1 / 12) ** 2)


def last_rate(run: Path) -> float:
    rate: float = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["train/learningRate"]
    return rate


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["+sweep=submitit"], "there is no srun here"),
        (["hydra/launcher=ray"], "pip install 'gptlab[ray]'"),
        (["+sweep=ray"], "pip install 'gptlab[ray]'"),
        (["+sweep=joblip"], "Did you mean joblib?"),
        (["sweep=joblib"], "Type +sweep=joblib"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_launch_is_said_before_anything_is_made(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from gptlab.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*SMALL, "seed=0,1", *arguments]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and told in error
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_without_a_sweep_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    from gptlab.cli import main

    assert main(["+experiment=tiny", "+sweep=joblib"]) == 2
    assert "needs -m" in capfd.readouterr().err


def test_a_data_set_that_another_run_adds_at_the_same_moment_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gptlab.tracking import uploads

    class Racing:
        """MLflow's client: the first to add the data set fails, since another process has just done so."""

        def __init__(self) -> None:
            self.calls = 0

        def log_inputs(self, run_id: str, datasets: list[str]) -> None:
            self.calls += 1
            if self.calls == 1:
                raise RuntimeError("UNIQUE constraint failed: datasets.name")
            assert (run_id, datasets) == ("1", ["names"])

    client = Racing()
    monkeypatch.setattr(uploads, "dataset_input", lambda run: "names")
    uploads.Uploads(client, SimpleNamespace(id="1", folder=Path())).dataset()  # type: ignore[arg-type]
    assert client.calls == 2
