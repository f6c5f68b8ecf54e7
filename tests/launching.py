"""Sweeps in processes of their own, as launchers run them, and what they leave in the store."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gptlab.tracking.store import find_store
from tests.repository import ROOT

SMALL = [
    *("-m", "+experiment=tiny", "engine=scalar", "data=questions", "data.valFraction=0"),
    *("model.nEmbd=2", "model.nHead=1", "train.batchSize=1", "train.numSteps=12", "train.logEvery=1"),
    *("samples.n=0", "tracking.logModel=false"),
]

# A type of the plugin's in its config, which travels to the workers as the name of a module and of a class.
PLUGIN = '''
from dataclasses import dataclass, field

import gptlab


@dataclass
class Shape:
    power: float = 1.0


@dataclass(frozen=True)
class Root:
    """(1 - step / numSteps) ^ power."""

    shape: Shape = field(default_factory=Shape)

    def __call__(self, step: int, numSteps: int) -> float:
        return float((1 - step / numSteps) ** self.shape["power"])


@gptlab.hookimpl
def gptlab_register_schedules(register):
    register("root", Root)
'''


def gptlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m gptlab` in this folder, its output as text."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.run(
        [sys.executable, "-m", "gptlab", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def with_plugin(folder: Path) -> Path:
    (folder / "plugins").mkdir()
    (folder / "plugins/root.py").write_text(PLUGIN)
    return folder


def sweep_of(folder: Path) -> Path:
    """The folder of the one sweep that was made here."""
    (sweep,) = folder.glob("runs/*/*-sweep")
    return sweep


def jobs_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of its jobs by their names."""
    records = [json.loads(file.read_text()) for file in sweep_of(folder).glob("*/job.json")]
    return {record["name"]: record for record in records}


def check_store(folder: Path, status: str = "FINISHED") -> None:
    """One parent; each job its child, closed, with every metric that is in the job's own folder."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=find_store(None, folder).uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "gptlab"]
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    jobs = jobs_of(folder)
    (parent,) = [run_id for run_id in runs if run_id not in {job["runId"] for job in jobs.values()}]
    assert len(runs) == len(jobs) + 1
    for name, job in jobs.items():
        run = runs[job["runId"]]
        assert run.info.run_name == name
        assert run.info.status == job["status"] == status
        assert run.data.tags["mlflow.parentRunId"] == parent
        written = (sweep_of(folder) / job["folder"] / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in written]
        points = {p.step: p.value for p in client.get_metric_history(run.info.run_id, "train/loss")}
        assert points == {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}
        assert len(points) == job["steps"] == 12
