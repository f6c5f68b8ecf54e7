"""Training steps of GPT-2s of nanoGPT's sizes: gptlab, torch, and the matrix products of the same step alone.

All in one run, turn by turn. `share` is the arithmetic of gptlab's step in a second over that of the products,
attention's products included in the first and not in the second.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks import machine, report
from benchmarks.gpt2_task import gpt2_task
from benchmarks.products import operations, product_operations
from benchmarks.speed import Effort, largest_difference, median_ratio, step_timing, take_turns
from benchmarks.worker import Missing, Worker

Cell = dict[str, Any]

# (title, arguments of gpt2_task, steps whose losses are compared)
SETTINGS = (
    (
        "nanoGPT's CPU setting",
        {"nLayer": 4, "nEmbd": 128, "nHead": 4, "blockSize": 64, "batchSize": 12},
        20,
    ),
    ("baby GPT", {"nLayer": 6, "nEmbd": 384, "nHead": 6, "blockSize": 256, "batchSize": 4}, 6),
)
QUICK = {"nLayer": 1, "nEmbd": 32, "nHead": 2, "blockSize": 16, "batchSize": 4}
AGAINST = ("torch_nanogpt", "torch_nanogpt_compiled")
PRODUCTS = "products"
TOLERANCE = 1e-4  # relative, of the first losses


@dataclass(frozen=True)
class Targets:
    """time, memory: gptlab's over torch's, at most. share: of the products' rate, at least."""

    time: float = 0.75
    memory: float = 1.0
    share: float = 0.7


def measure(title: str, sizes: dict[str, int], check: int, threads: str, effort: Effort) -> Cell:
    """Seconds a step of each round by name, peaks, ratios; why an implementation was left out, under `notes`."""
    task, _ = gpt2_task(**sizes)
    cell: Cell = {"title": title, "threads": threads, "sizes": sizes, "notes": []}
    cell |= {"flops": operations(task), "product_flops": product_operations(task)}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name in ("xla", *AGAINST):
            worker = stack.enter_context(Worker(threads))
            try:
                worker.ask("trainer", implementation=name, task=sizes, maker="gpt2_task")
                workers[name] = worker
            except Missing as missing:
                cell["notes"].append(f"{name} left out: {missing}")
        losses = {name: worker.ask("losses", steps=check) for name, worker in workers.items()}
        cell["differences"] = {name: largest_difference(own, losses["xla"]) for name, own in losses.items()}
        wrong = [name for name, difference in cell["differences"].items() if difference > TOLERANCE]
        for name in wrong:
            cell["notes"].append(f"{name}'s losses differ by {cell['differences'][name]:.1e}")
            del workers[name]
        timings = {name: step_timing(worker, effort, check) for name, worker in workers.items()}
        products = stack.enter_context(Worker(threads))
        products.ask("products", task=sizes)
        timings[PRODUCTS] = lambda: products.ask("product_seconds")
        turns = take_turns(timings, effort.rounds)
        cell["peak"] = {name: worker.ask("peak") for name, worker in workers.items()}
    cell["times"] = {name: [wall for wall, _ in pairs] for name, pairs in turns.items()}
    processor = {name: [cpu for _, cpu in pairs] for name, pairs in turns.items()}
    cell |= compared(cell, processor)
    return cell


def compared(cell: Cell, processor: dict[str, list[float]]) -> Cell:
    """What the times come to: `ratio` and, on one core, `processor` by name; `share`."""
    times = cell["times"]
    against = [name for name in AGAINST if name in times]
    ratio = {name: median_ratio(times["xla"], times[name]) for name in against}
    by_processor = {name: median_ratio(processor["xla"], processor[name]) for name in against}
    work = cell["flops"] / cell["product_flops"]
    return {
        "ratio": ratio,
        "processor": by_processor if cell["threads"] == "one" else {},
        "share": work * median_ratio(times[PRODUCTS], times["xla"]),
    }


HEADER = [
    "setting",
    "cores",
    "implementation",
    "step",
    "tokens/s",
    "GFLOP/s",
    "memory",
    "gptlab's time over it",
]
HEADER += ["target", "met"]


def rows_of(cell: Cell, targets: Targets = Targets()) -> list[list[str]]:
    """Lines of the table, as HEADER has them."""
    positions = cell["sizes"]["batchSize"] * cell["sizes"]["blockSize"]
    found = []
    for name, times in cell["times"].items():
        seconds = statistics.median(times)
        alone = name == PRODUCTS
        rate = cell["product_flops" if alone else "flops"] / seconds / 1e9
        shown = [
            "the step's matrix products alone" if alone else name.replace("xla", "gptlab"),
            report.duration(seconds),
        ]
        shown += ["" if alone else f"{positions / seconds:,.0f}", f"{rate:.0f}"]
        shown.append(report.mebibytes(cell["peak"][name]) if name in cell["peak"] else "")
        if alone:
            share = cell["share"]
            shown += [
                f"{share:.0%} of its rate",
                f"≥ {targets.share:.0%}",
                report.yes_no(share >= targets.share),
            ]
        elif name in cell["ratio"]:
            ratio = cell["ratio"][name]
            shown += [report.times(ratio), f"≤ {targets.time:g}x", report.yes_no(ratio <= targets.time)]
        else:
            shown += ["", "", ""]
        found.append([cell["title"], cell["threads"], *shown])
    return found


def table(cells: list[Cell]) -> str:
    return report.lines_of(HEADER, [row for cell in cells for row in rows_of(cell)])


def run(effort: Effort, threads: str | None, quick: bool, keep: Callable[[dict[str, Any]], None]) -> bool:
    """Measure and print setting by setting; whether all that ran had the same losses."""
    chosen = ("one", "all") if threads in (None, "both") else (threads,)
    effort = Effort(min(effort.rounds, 11), effort.seconds)
    result: dict[str, Any] = {"machine": machine.describe(), "rounds": effort.rounds, "cells": []}
    for title, sizes, check in (("a tiny one", QUICK, 6),) if quick else SETTINGS:
        for each in chosen:
            cell = measure(title, sizes, check, each, effort)
            result["cells"].append(cell)
            print(table([cell]), *cell["notes"], sep="\n", flush=True)
            keep(result)
    print(f"\n{machine.sentence(result['machine'])}\n\n{table(result['cells'])}")
    return not any("differ" in note for cell in result["cells"] for note in cell["notes"])
