"""Whole commands, as a person types them: wall time, and what they import."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks.settings import sizes
from benchmarks.speed import Effort, Row, step_timing, take_turns
from benchmarks.task import ROOT
from benchmarks.worker import Worker
from gptlab import strict_json

LIGHT_SECONDS = 0.6
TINY_SECONDS = 2.5
BARE = "import mlflow, jax"
HEAVY = ("jax", "mlflow")
LIGHT = {
    "--help": (["--help"], 0),
    "plugins": (["plugins"], 0),
    "a config error": (["train.numStep=3"], 2),
}


class CommandFailed(Exception):
    """A command that is to be measured did not end as it should."""


def timed(words: Sequence[str], folder: str, status: int = 0) -> float:
    """Wall seconds of `python WORDS` in a folder of its own. Raises CommandFailed."""
    # A store or a run that the surroundings name would be written to.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if ended.returncode != status:
        raise CommandFailed(f"python {' '.join(words)} ended with {ended.returncode}: {ended.stderr[-500:]}")
    return seconds


def settle(folder: str) -> None:
    """Wait until MLflow has all that commands in `folder` left to its process, which takes of the next one's time.

    Raises CommandFailed after ten minutes.
    """
    from gptlab.runs.files import RUN, SWEEP

    deadline = time.monotonic() + 600
    told = [file for name in (RUN, SWEEP) for file in Path(folder).glob(f"runs/**/{name}")]
    while time.monotonic() < deadline:
        if all(strict_json.loads(file.read_bytes()).get("synced", True) for file in told):
            return
        time.sleep(0.1)
    raise CommandFailed(f"MLflow has not all of the runs of {folder} after ten minutes")


def imported(words: Sequence[str], folder: str) -> list[str]:
    """Those of HEAVY that `python -m gptlab WORDS` imports in its own process."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gptlab", *words],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return [name for name in HEAVY if re.search(rf"\| +{name}$", ended.stderr, re.MULTILINE)]


def measure_light(effort: Effort) -> list[Row]:
    """Commands that only say something: under 0.6 s, with neither jax nor mlflow imported."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        timings = {
            name: lambda words=words, status=status: timed(["-m", "gptlab", *words], folder, status)
            for name, (words, status) in LIGHT.items()
        }
        times = take_turns(timings, max(2, effort.rounds // 3))
        for name, (words, _) in LIGHT.items():
            heavy = imported(words, folder)
            row = Row("commands", f"`gptlab` {name}", "all", name, "", "seconds", LIGHT_SECONDS)
            row.times = {name: times[name]}
            # An import that must not be counts as missed, however fast it was.
            row.ratio = statistics.median(times[name])
            if heavy:
                row.note, row.ratio = f"imports {', '.join(heavy)}", float("inf")
            rows.append(row)
    return rows


def measure_tiny(effort: Effort) -> list[Row]:
    """`+experiment=tiny` from its second run on, above bare imports and the training itself."""
    config = yaml.safe_load((ROOT / "experiments" / "tiny.yaml").read_text(encoding="utf-8"))
    steps, batchSize = config["train"]["numSteps"], config["train"]["batchSize"]
    task = sizes("sentences", 1, 16, batchSize)
    with tempfile.TemporaryDirectory() as folder, Worker("all") as worker:
        (Path(folder) / "empty").mkdir()
        worker.ask("trainer", implementation="xla", task=task)
        worker.ask("losses", steps=20)
        step = step_timing(worker, effort, compiled=20)
        command = ["-m", "gptlab", "+experiment=tiny"]

        def tiny() -> float:
            seconds = timed(command, folder)
            settle(folder)
            return seconds

        tiny()  # the first run makes the store and compiles
        timings = {
            "tiny": tiny,
            "import": lambda: timed(["-c", BARE], folder),
            "training": lambda: step()[0] * steps,
        }
        times = take_turns(timings, max(2, effort.rounds // 3))
    row = Row(
        "tiny", "`+experiment=tiny`, second run", "all", "tiny", "import", "seconds above", TINY_SECONDS
    )
    row.times = times
    row.ratio = statistics.median(
        whole - bare - training
        for whole, bare, training in zip(times["tiny"], times["import"], times["training"], strict=True)
    )
    return [row]
