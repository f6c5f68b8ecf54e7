"""Sweeps on Ray, which has an environment of its own: `make ray` runs these, and so does CI."""

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.launching import ROOT, SMALL, check_store, gptlab, jobs_of, with_plugin

pytest.importorskip("ray", reason="Ray is in an environment of its own: make ray")
pytestmark = pytest.mark.slow

RAY = Path(sys.executable).with_name("ray")


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a Ray cluster of one machine, started in another folder than the sweep's."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # its workers find gptlab as they would one that is installed
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start = [RAY, "start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
    subprocess.run(
        [*start, "--disable-usage-stats"], cwd=elsewhere, check=True, capture_output=True, timeout=200
    )
    yield f"127.0.0.1:{port}"
    subprocess.run([RAY, "stop"], cwd=elsewhere, check=True, capture_output=True, timeout=200)


def test_a_cluster_that_the_sweep_starts(mlflow_folder: Path) -> None:
    """With a plugin of this folder, and a job that is refused."""
    with_plugin(mlflow_folder)
    swept = ["schedule=root", "model.nHead=1,3", "+sweep=ray"]
    done = gptlab(mlflow_folder, *SMALL, *swept)
    assert done.returncode == 1, done.stderr
    jobs = jobs_of(mlflow_folder)
    assert {name: job["status"] for name, job in jobs.items()} == {"nHead=1": "FINISHED", "nHead=3": "FAILED"}
    assert "nHead must divide nEmbd" in jobs["nHead=3"]["reason"]


def test_a_cluster_that_is_there(mlflow_folder: Path, cluster: str) -> None:
    with_plugin(mlflow_folder)
    swept = [
        "schedule=root",
        "seed=0,1,2",
        "+sweep=ray_cluster",
        f"hydra.launcher.ray.init.address={cluster}",
    ]
    done = gptlab(mlflow_folder, *SMALL, *swept)
    assert done.returncode == 0, done.stderr
    assert set(jobs_of(mlflow_folder)) == {"seed=0", "seed=1", "seed=2"}
    check_store(mlflow_folder)
