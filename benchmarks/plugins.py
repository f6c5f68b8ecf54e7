"""Every example plugin against the baseline at the `book` setting: the table of docs/experiments.md.

    python -m benchmarks.plugins [--seeds 3] [--steps 5000] [NAME ...]

Same data, same steps, several seeds; the experiments take turns, so that a machine that grows slower
does so for all of them. Writes the table into docs/experiments.md, between its two markers.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import put_into
from gptlab.cli import main as gptlab
from gptlab.plugins.discovery import brought_folders

PAGE = Path(__file__).parent.parent / "docs" / "experiments.md"
BASELINE = "book"


@dataclass
class Result:
    """One experiment over its seeds: the last validation losses, and the predictions made a second."""

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def run(experiment: str, seed: int, steps: int) -> tuple[float, float]:
    """(last validation loss, median predictions a second after compilation) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        status = gptlab(
            [
                f"+experiment={experiment}",
                f"seed={seed}",
                f"train.numSteps={steps}",
                "tracking=none",
                "progress=none",
                "samples.n=0",
                "listeners=[]",
                f"hydra.run.dir={folder}",
            ]
        )
        if status:
            raise SystemExit(f"{experiment} with seed={seed} ended with status {status}")
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    rates = [row["train/tokensPerSecond"] for row in rows if "train/tokensPerSecond" in row]
    return losses[-1], statistics.median(rates)


def table(results: dict[str, Result]) -> str:
    lines = ["| experiment | validation loss | against the baseline | step time |", "|---|---|---|---|"]
    base = results[BASELINE]
    for name, result in results.items():
        mean, spread = statistics.mean(result.losses), statistics.stdev(result.losses)
        gap = mean - statistics.mean(base.losses)
        # Each run beside the baseline's run of the same seed, which ran just before.
        ratio = statistics.median(b / r for b, r in zip(base.rates, result.rates, strict=True))
        difference = "" if name == BASELINE else f"{gap:+.3f}"
        lines.append(f"| `{name}` | {mean:.3f} ± {spread:.3f} | {difference} | {ratio:.2f}x |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="experiments; by default those of all plugins")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5000)
    options = parser.parse_args()
    brought = [
        file.stem for folder in brought_folders("experiments") for file in sorted(folder.glob("*.yaml"))
    ]
    results = {name: Result() for name in [BASELINE, *(options.names or sorted(set(brought)))]}
    for seed in range(options.seeds):
        for name, result in results.items():
            loss, rate = run(name, seed, options.steps)
            result.losses.append(loss)
            result.rates.append(rate)
            print(f"seed {seed}  {name:<16} validation {loss:.3f}  {rate:,.0f} tokens/s", flush=True)
    measured = (
        f"{options.steps} steps, {options.seeds} seeds; mean ± standard deviation; Python "
        f"{platform.python_version()}, {platform.machine()}.\n\n{table(results)}\n"
    )
    print(measured)
    if not options.names:
        put_into(PAGE, measured)


if __name__ == "__main__":
    main()
