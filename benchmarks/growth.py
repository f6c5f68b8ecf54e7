"""Step time and peak memory as work grows, beside the arithmetic that a step should take.

One axis at a time from a base, every cell in a fresh process, on random documents of blockSize
predictions each, so that no cell has padding. One number of positions P = batchSize * blockSize and
matrices of M parameters take 6 M P floating-point operations forwards and backwards (a multiplication
and an addition each; backwards twice as many), and attention 12 blockSize² nEmbd nLayer batchSize.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import machine, report
from benchmarks.speed import Effort, step_timing
from benchmarks.worker import Worker, WorkerFailed

Cell = dict[str, Any]

VOCABULARY = 256
BASE = {"nEmbd": 64, "nLayer": 2, "blockSize": 64, "batchSize": 8}
AXES = {
    "nEmbd": (16, 32, 64, 128, 256, 512),
    "nLayer": (1, 2, 4, 8),
    "blockSize": (16, 32, 64, 128, 256, 512, 1024),
    "batchSize": (1, 4, 16, 64, 256),
}
COMPILED = 2  # steps of the first call


def matrix_parameters(nEmbd: int, nLayer: int) -> int:
    """Those that are multiplied with at every position: looking up a row of an embedding is none."""
    return 12 * nEmbd * nEmbd * nLayer + VOCABULARY * nEmbd


def operations(nEmbd: int, nLayer: int, blockSize: int, batchSize: int) -> int:
    """Floating-point operations of a step; attention's are those of the whole square, not of its causal half."""
    products = 6 * matrix_parameters(nEmbd, nLayer) * batchSize * blockSize
    return products + 12 * blockSize * blockSize * nEmbd * nLayer * batchSize


def kept_bytes(nEmbd: int, nLayer: int, blockSize: int) -> int:
    """Weights, two moments and gradients in float32: what a step holds however small its batch is."""
    return 4 * 4 * (matrix_parameters(nEmbd, nLayer) + (VOCABULARY + blockSize) * nEmbd)


def measure_cell(sizes: dict[str, int], threads: str, effort: Effort, documents: int = 1024) -> Cell:
    """A step's seconds, the process's peak memory, and both before the engine; or a note why not."""
    task = {**sizes, "vocabSize": VOCABULARY, "documents": documents}
    cell: Cell = {**sizes, "flops": operations(**sizes)}
    cell["kept"] = kept_bytes(sizes["nEmbd"], sizes["nLayer"], sizes["blockSize"])
    try:
        with Worker(threads) as worker:
            began = time.perf_counter()
            cell["before"] = worker.ask("trainer", implementation="xla", task=task, maker="synthetic_task")
            worker.ask("losses", steps=COMPILED)
            cell["ready"] = time.perf_counter() - began
            timing = step_timing(worker, effort, COMPILED)
            cell["rounds"] = [timing()[0] for _ in range(effort.rounds)]
            cell["seconds"] = statistics.median(cell["rounds"])
            cell["peak"] = worker.ask("peak")
    except WorkerFailed as failed:
        cell["note"] = str(failed)
    return cell


def relate(cells: list[Cell]) -> None:
    """`relative`: how much faster time grew than arithmetic since the cell before, along the same axis."""
    before: Cell | None = None
    for cell in cells:
        cell["relative"] = None
        if "seconds" in cell and before is not None:
            cell["relative"] = (cell["seconds"] / before["seconds"]) / (cell["flops"] / before["flops"])
        before = cell if "seconds" in cell else None


def run(effort: Effort, threads: str | None, quick: bool, keep: Callable[[dict[str, Any]], None]) -> bool:
    """Measure and print cell by cell; whether all could be measured."""
    threads = threads if threads in ("one", "all") else "one"
    effort = Effort(min(effort.rounds, 5), effort.seconds)
    result: dict[str, Any] = {"machine": machine.describe(), "threads": threads, "cells": []}
    for axis, values in AXES.items():
        cells: list[Cell] = []
        for value in values[:2] if quick else values:
            cells.append({"axis": axis, **measure_cell({**BASE, axis: value}, threads, effort)})
            relate(cells)
            print(report.growth_table(cells[-1:]).splitlines()[-1], flush=True)
            keep({**result, "cells": result["cells"] + cells})
        result["cells"] += cells
    keep(result)
    print(f"\n{report.growth_table(result['cells'])}")
    return not any("note" in cell for cell in result["cells"])
