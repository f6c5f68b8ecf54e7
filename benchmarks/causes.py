"""Where the wall time of a training run goes, at the smallest settings.

A run of gptlab with MLflow that takes some 20 seconds and logs as a run does unless told otherwise, its seams
clocked (benchmarks/instrumented.py), compilation apart:

- logging: in the listeners of a logged step, MLflow's and the folder's, and the progress lines;
- closing: until the run is closed in MLflow, which has what is left to write (its start is not counted):
  whatever the run's length, and so its share depends on that;
- evaluation: the held-out documents, and samples;
- host: the rest of the loop (batches, rates, what is reported), and the fixed cost of the engine's
  calls, which is told apart by calls of 1 and of 512 steps;
- dispatch: what is left of the engine's calls, by the share that a step of the same program takes at
  sizes with next to no arithmetic (nEmbd 4, two positions): XLA's cost of an operation, whatever its size;
- arithmetic: the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks import machine, report
from benchmarks.speed import Effort, step_timing
from benchmarks.worker import Worker

NAMES = ["data=names", "tokenizer=char"]
SETTINGS = {
    "names, batch 1": (NAMES, {"nLayer": 1, "batchSize": 1}, 500_000),
    "names, batch 16": (NAMES, {"nLayer": 1, "batchSize": 16}, 100_000),
    "book, batch 1": (["model.nEmbd=32"], {"nLayer": 2, "batchSize": 1}, 100_000),
}
SMALLEST = {"nEmbd": 4, "nHead": 2, "blockSize": 2, "vocabSize": 4}


def smallest_step(nLayer: int, batchSize: int, threads: str, effort: Effort) -> float:
    """Seconds a step of the same model at sizes that leave nothing to compute."""
    sizes = {**SMALLEST, "nLayer": nLayer, "batchSize": min(batchSize, 2)}
    with Worker(threads) as worker:
        worker.ask("trainer", implementation="xla", task=sizes, maker="synthetic_task")
        worker.ask("losses", steps=20)
        timing = step_timing(worker, effort, compiled=20)
        return statistics.median(timing()[0] for _ in range(effort.rounds))


def measure(title: str, threads: str, effort: Effort, quick: bool) -> dict[str, Any]:
    overrides, sizes, steps = SETTINGS[title]
    steps = steps // 50 if quick else steps
    train = {"model.nLayer": sizes["nLayer"], "train.batchSize": sizes["batchSize"]}
    train |= {"train.numSteps": steps, "train.evalEvery": steps // 10}
    with Worker(threads) as worker:
        given = [*overrides, *(f"{name}={value}" for name, value in train.items())]
        seconds = worker.ask("causes", overrides=given)
    smallest = smallest_step(sizes["nLayer"], sizes["batchSize"], threads, effort)
    return {"title": title, **shares(seconds, smallest)}


def shares(seconds: dict[str, float], smallest: float) -> dict[str, Any]:
    """The share of each cause in the wall time, which they fill.

    seconds: from run_with_clocks. smallest: seconds of a step that computes next to nothing.
    """
    clocked = ("engine", "host", "logging", "closing", "evaluation")
    wall = sum(seconds[name] for name in clocked)
    in_steps = max(0.0, seconds["engine"] - seconds["aCall"] * seconds["calls"])
    dispatch = in_steps * min(1.0, smallest / seconds["aStep"]) if seconds["aStep"] else 0.0
    parts = {
        "arithmetic": in_steps - dispatch,
        "dispatch": dispatch,
        "host": seconds["host"] + seconds["engine"] - in_steps,
        "logging": seconds["logging"],
        "closing": seconds["closing"],
        "evaluation": seconds["evaluation"],
    }
    return {
        "steps": seconds["steps"],
        "step": wall / seconds["steps"],
        "smallest": smallest,
        "seconds": seconds,
        "shares": {name: part / wall for name, part in parts.items()},
    }


def run(effort: Effort, threads: str | None, quick: bool, keep: Callable[[dict[str, Any]], None]) -> bool:
    """Measure and print setting by setting."""
    threads = threads if threads in ("one", "all") else "all"
    result: dict[str, Any] = {"machine": machine.describe(), "threads": threads, "settings": []}
    for title in list(SETTINGS)[: 1 if quick else None]:
        result["settings"].append(measure(title, threads, effort, quick))
        print(report.causes_table(result["settings"][-1:]), flush=True)
        keep(result)
    print(f"\n{machine.sentence(result['machine'])}\n\n{report.causes_table(result['settings'])}")
    return True
