"""From the key press to the prompt: where a second run of `+experiment=names` spends its time.

Plain commands are timed turn by turn: `import jax` alone, the command without MLflow, with it, and with MLflow
waited for (`tracking.wait=true`). Beside them the same commands with clocks at their seams (benchmarks/timeline.py),
which make them a little slower, tell what the time goes to. MLflow is imported in a process of its own: what that alone
takes is told, too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, report
from benchmarks.commands import CommandFailed, settle
from benchmarks.speed import Effort
from benchmarks.task import ROOT
from benchmarks.timeline import BEGINNING, END, ROWS, shares

NAMES = ["+experiment=names"]
WAY = {
    "without MLflow": [*NAMES, "tracking=none"],
    "with MLflow": NAMES,
    "MLflow waited for": [*NAMES, "tracking.wait=true"],
}
ALONE = {
    "import jax": "import jax",
    "MLflow's process: its imports": "import mlflow.store.tracking.sqlalchemy_store",
}
# Seconds above `import jax`: until the prompt is back, and until the first step's line.
PROMPT, FIRST = 1.5, 1.0

Timing = dict[str, float]


def timed(words: list[str], folder: str) -> Timing:
    """A command: wall and processor seconds, when its first step's line came, and when it was begun and over.

    The processor's are those of the process and of those that it has waited for. Raises CommandFailed.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"PYTHONPATH": str(ROOT)}
    environment.pop("GPTLAB_WAIT", None)
    with tempfile.TemporaryFile("w+") as errors:
        began = time.time()
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        first = 0.0
        with process.stdout:
            for line in process.stdout:
                if not first and line.startswith("step"):
                    first = time.time() - began
        _, status, used = os.wait4(process.pid, 0)
        ended = time.time()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise CommandFailed(
                f"python {' '.join(words)} ended with {process.returncode}: {errors.read()[-500:]}"
            )
    processor = used.ru_utime + used.ru_stime
    return {
        "wall": ended - began,
        "processor": processor,
        "first": first,
        "began": began,
        "ended": ended,
    }


def clocked(words: list[str], folder: str) -> dict[str, list[float]]:
    """What the time of a command goes to: `{row: [wall, processor]}`. Raises CommandFailed."""
    from gptlab import strict_json

    path = Path(folder) / "spans.json"
    whole = timed(["-m", "benchmarks.timeline", str(path), *words], folder)
    told = strict_json.loads(path.read_text(encoding="utf-8"))
    spans = [(str(name), float(a), float(b)) for name, a, b in told["spans"]]
    spans += [(BEGINNING, whole["began"], told["began"]), (END, told["ended"], whole["ended"])]
    samples = [(float(wall), float(used)) for wall, used in told["samples"]]
    # Nothing was used before it began; and what was used in all, the system tells.
    samples += [(whole["began"], 0.0), (whole["ended"], max(whole["processor"], samples[-1][1]))]
    return {name: list(both) for name, both in shares(spans, samples, whole["began"], whole["ended"]).items()}


def medians(rounds: list[Timing]) -> Timing:
    return {name: statistics.median(each[name] for each in rounds) for name in ("wall", "processor", "first")}


def median_rows(rounds: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Row by row, of those that any round has."""
    return {
        row: [statistics.median(each.get(row, [0.0, 0.0])[i] for each in rounds) for i in (0, 1)]
        for row in ROWS
        if any(row in each for each in rounds)
    }


def above(rounds: list[Timing], bare: list[Timing], name: str) -> float:
    """The median over the rounds of how much more a command took than `import jax` did in the same round."""
    return statistics.median(one[name] - other["wall"] for one, other in zip(rounds, bare, strict=True))


def table(result: dict[str, Any]) -> str:
    """Whole commands, then their rows."""
    taken, over = result["commands"], result["above"]
    whole = []
    for name, one in taken.items():
        row = [str(name), report.duration(one["wall"]), report.duration(one["processor"])]
        if name in over:
            prompt, first = over[name]["prompt"], over[name]["first"]
            row += [f"{prompt:.2f} s", f"{first:.2f} s"]
            row += [report.yes_no(prompt <= PROMPT and first <= FIRST if name == "with MLflow" else None)]
        whole.append([*row, *[""] * (6 - len(row))])
    header = ["command", "until the prompt", "processor", "prompt above `import jax`"]
    header += ["first step's line above it", f"target: ≤ {PROMPT:g} s, ≤ {FIRST:g} s"]
    ways = list(result["rows"])
    parts: list[list[str]] = []
    for part in ROWS:
        cells = [result["rows"][way].get(part) for way in ways]
        if any(cells):
            parts.append([part, *("" if c is None else f"{c[0]:.2f} s ({c[1]:.2f})" for c in cells)])
    sums = [[sum(both[i] for both in result["rows"][way].values()) for i in (0, 1)] for way in ways]
    parts.append(["together", *(f"{wall:.2f} s ({used:.2f})" for wall, used in sums)])
    return f"{report.lines_of(header, whole)}\n\n{report.lines_of(['wall (processor)', *ways], parts)}"


def run(effort: Effort, threads: str | None, quick: bool, keep: Callable[[dict[str, Any]], None]) -> bool:
    """Measure and print."""
    rounds = max(2, effort.rounds // 3)
    timings: dict[str, list[Timing]] = {name: [] for name in (*ALONE, *WAY)}
    rows: dict[str, list[dict[str, list[float]]]] = {name: [] for name in WAY}
    with tempfile.TemporaryDirectory() as folder:
        for words in WAY.values():  # the first run makes the store and compiles
            timed(["-m", "gptlab", *words], folder)
        for _ in range(rounds):
            for name, code in ALONE.items():
                timings[name].append(timed(["-c", code], folder))
            for name, words in WAY.items():
                settle(folder)
                timings[name].append(timed(["-m", "gptlab", *words], folder))
                settle(folder)
                rows[name].append(clocked(words, folder))
        settle(folder)
    bare = timings["import jax"]
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "rounds": rounds,
        "commands": {name: medians(each) for name, each in timings.items()},
        "above": {
            name: {"prompt": above(timings[name], bare, "wall"), "first": above(timings[name], bare, "first")}
            for name in WAY
        },
        "rows": {name: median_rows(each) for name, each in rows.items()},
    }
    keep(result)
    print(f"\n{machine.sentence(result['machine'])}\n\n{table(result)}")
    return True
