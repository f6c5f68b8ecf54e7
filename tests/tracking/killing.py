"""Runs and sweeps that write to MLflow, and of which either process is killed at random moments. A program of its own:

python -m tests.tracking.killing FOLDER KILLS [SEED]

After each kill the next command: it goes on with the run or the sweep, or begins another. In the end every folder
and the store must tell the same: status, id, and every row.
"""

import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from gptlab.runs.folder import RunFolder
from tests.processes import children, start_python
from tests.resuming import TINY, write_corpus
from tests.statuses import check_statuses, stored_runs
from tests.tracked import make_store

SIZES = [word for word in TINY if not word.startswith("tracking=")]
SIZES += [
    "engine=scalar",
    "train.numSteps=300",
    "train.logEvery=1",
    "train.evalEvery=50",
    "checkpoint.every=20",
]
SIZES += ["tracking.logModel=false"]
CLOCK = "train/tokensPerSecond"  # of a step that is done again, the store keeps what was measured first
DEADLINE = 300.0  # seconds that a command may take


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return start_python(folder, "-m", "gptlab", *arguments, stdout=subprocess.DEVNULL)


def kill_somewhere(process: "subprocess.Popen[str]", chance: random.Random) -> str:
    """Kill the process that trains, that of MLflow's, or both; which, or nothing if all had ended before."""
    end = time.monotonic() + chance.uniform(0.5, 7.0)
    while time.monotonic() < end:
        if process.poll() is not None:
            return ""
        time.sleep(0.005)
    victims = {"training": [process.pid], "mlflow": children(process.pid)}
    victims["both"] = victims["training"] + victims["mlflow"]
    chosen = chance.choice([name for name in victims if victims[name]])
    for pid in victims[chosen]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return chosen


def next_command(folder: Path, place: str, sweep: bool) -> list[str]:
    """What goes on with what is there; what left nothing is begun again."""
    if sweep:
        command = ["-m", *SIZES, "seed=1,2", f"hydra.sweep.dir={place}"]
        return [*command, f"sweep.resume={place}"] if (folder / place / "sweep.json").exists() else command
    status, trained = RunFolder(folder / place).status, (folder / place / "metrics.jsonl").exists()
    if status != "FINISHED" and any((folder / place / "checkpoints").glob("step-*")):
        return [f"resume={place}", "progress=none"]
    if trained:  # it ended, or was killed, before it had a checkpoint, or while it waited for MLflow
        return ["sync", place]
    return [*SIZES, f"hydra.run.dir={place}"]


def different_rows(folder: Path) -> list[str]:
    """The runs of which the store has other rows than their folder."""
    wrong = []
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        for file in folder.rglob("run.json"):
            run = RunFolder(file.parent)
            logged = {
                (name, step): value
                for step, row in run.rows()
                for name, value in row.items()
                if math.isfinite(value) and name != CLOCK
            }
            query = "SELECT key, step, value FROM metrics WHERE run_uuid = ? AND is_nan = 0"
            found = store.execute(query, (run.id,)).fetchall()
            stored = {(key, step): value for key, step, value in found}
            own = {
                key: value
                for key, value in stored.items()
                if "/" in key[0] and key[0] not in ("val/best", CLOCK)
            }
            # A run that is not gone on with was killed after it had logged more than it kept.
            if len(found) != len(stored) or not logged.items() <= own.items():
                missing = sorted(set(logged.items()) - set(own.items()))[:3]
                wrong.append(f"{file}: {len(logged)} in the folder, {len(own)} in the store; {missing}")
            elif run.status == "FINISHED" and logged.keys() != own.keys():
                wrong.append(f"{file}: the store has {sorted(own.keys() - logged.keys())[:3]} besides")
    return wrong


def main(folder: Path, kills: int, seed: int) -> None:
    write_corpus(folder)
    chance = random.Random(seed)
    seen: dict[str, int] = {}
    number = 0
    while sum(seen.values()) < kills:
        sweep, place = chance.random() < 0.3, f"runs/day/{number}"
        for _ in range(chance.choice([1, 2, 4])):
            process = start(folder, *next_command(folder, place, sweep))
            if killed := kill_somewhere(process, chance):
                seen[killed] = seen.get(killed, 0) + 1
            error = process.communicate(timeout=DEADLINE)[1]
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, error
        number += 1
    last = start(folder, *SIZES, "hydra.run.dir=runs/day/last")
    error = last.communicate(timeout=DEADLINE)[1]
    assert last.returncode == 0, error
    check_statuses(folder)
    wrong = different_rows(folder)
    running = [run.name for run in stored_runs(folder / "mlflow.db").values() if run.status == "RUNNING"]
    print(json.dumps({"kills": seen, "runs": number, "wrong": wrong, "running": running}))


if __name__ == "__main__":
    make_store(Path(sys.argv[1]))
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
