"""How long a sweep of many small runs takes, and where its time goes: python -m benchmarks.sweep

Learning rates times seeds of the `names` setting, 1,000 steps each, in one process, in a fresh folder with a
fresh MLflow store and the compiled programs of earlier runs; the whole command from a shell, so that
the start of Python and the making of the store are in it. Once with MLflow, once without, interleaved.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import machine
from benchmarks.commands import settle
from benchmarks.report import put_into
from gptlab import strict_json

PAGE = Path(__file__).parent.parent / "docs" / "sweeps.md"
RESULTS = Path(__file__).parent / "results" / "sweep.json"
RATES = (0.001, 0.002, 0.003, 0.005, 0.007, 0.01, 0.014, 0.02, 0.03, 0.05)

NONE = "tracking=none"


@dataclass(frozen=True)
class Timed:
    """Seconds until the prompt is back, and until MLflow has all; of the runs themselves as their records tell, and how
    many there were."""

    seconds: float
    sent: float
    training: float
    runs: int
    failed: int


def command(runs: int, steps: int) -> list[str]:
    seeds = max(1, runs // len(RATES))
    rates = ",".join(map(str, RATES[: max(1, min(runs, len(RATES)))]))
    return [
        *(sys.executable, "-m", "gptlab", "-m", "+experiment=names", "progress=none"),
        *(f"train.numSteps={steps}", f"train.learningRate={rates}", f"seed=range(0,{seeds})"),
    ]


def timed(words: list[str]) -> Timed:
    with tempfile.TemporaryDirectory(prefix="gptlab-sweep-") as folder:
        began = time.perf_counter()
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        if done.returncode == 0:
            settle(folder)
        sent = time.perf_counter() - began
        records = [strict_json.loads(file.read_text("utf-8")) for file in Path(folder).rglob("job.json")]
        if done.returncode:
            raise SystemExit(f"the sweep ended with status {done.returncode}: {done.stderr[-2000:]}")
        failed = sum(record["status"] != "FINISHED" for record in records)
        return Timed(seconds, sent, sum(record["seconds"] for record in records), len(records), failed)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    words = command(options.runs, options.steps)
    kinds = {
        "with MLflow": words,
        NONE: [*words, NONE],
        "one run": command(1, options.steps),
    }
    timed(kinds["one run"])  # compiles, and keeps it
    found: dict[str, list[Timed]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind, typed in kinds.items():
            found[kind].append(timed(typed))
            print(f"{kind}: {found[kind][-1].seconds:.1f} s", flush=True)
    described = machine.describe()
    head = "| | runs | until the prompt (s) | until MLflow has all (s) | within the runs (s) | prompt, a run (s) |"
    lines = [head, "|---|---|---|---|---|---|"]
    for kind, rounds in found.items():
        whole = statistics.median(t.seconds for t in rounds)
        sent = "" if kind == NONE else f"{statistics.median(t.sent for t in rounds):.1f}"
        within = statistics.median(t.training for t in rounds)
        lines.append(
            f"| {kind} | {rounds[0].runs} | {whole:.1f} | {sent} | {within:.1f} | {whole / rounds[0].runs:.2f} |"
        )
    table = "\n".join(lines)
    how = f"{options.steps:,} steps a run, median of {options.rounds} rounds; {machine.sentence(described)}"
    measured = f"\n{how}\n\n{table}\n"
    print(measured)
    if (options.runs, options.steps) == (100, 1000):
        told = {
            "machine": described,
            "rounds": {kind: [asdict(t) for t in some] for kind, some in found.items()},
        }
        RESULTS.write_text(strict_json.dumps(told, indent=1) + "\n", encoding="utf-8")
        put_into(PAGE, measured)


if __name__ == "__main__":
    main()
