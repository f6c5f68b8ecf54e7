"""Every example plugin against the baseline at the `book` setting, by one ablation: the table of docs/experiments.md.

    python -m benchmarks.plugins [--seeds 10] [--steps 5000] [--folder FOLDER] [NAME ...]

Seeds are paired and rates tuned (docs/ablate.md). Writes the table into docs/experiments.md, between its two markers.
With a folder its runs are kept there and are not trained again, so that a command that died goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

import numpy as np

import gptlab
from benchmarks.report import put_into
from gptlab.ablation.report.tables import ranked
from gptlab.ablation.report.words import (
    digits_of,
    interval_text,
    noise_line,
    number_text,
    p_text,
    signed,
    verdict_words,
)
from gptlab.ablation.result import Ablation, Comparison, Setting, Tuning
from gptlab.config.experiments import content_of
from gptlab.loaded.loaded import Loaded
from gptlab.plugins.discovery import brought_folders

PAGE = Path(__file__).parent.parent / "docs" / "experiments.md"
BASELINE = "book"
RATES = "0.0005,0.002,0.005,0.01"
EPSILON = 0.02
# Whose runs take so long that they are held against the baseline at its own rate alone, on fewer seeds and steps.
SLOW = ("fixedpoint", "logmul", "logmulst")
FEW, SHORT = 7, 5  # seeds, and how many times fewer steps
TURNS = 2
# Of no plugin: the optimizers are to be held against Adam with a memory that is as long.
ADAM = "optimizer.beta2=0.999"
HEADERS = [
    *("arm", "verdict", "at its own best rate", "p", "seeds", "best rate", "as its file says"),
    *("validation loss", "step time", "parameters"),
]


def experiments(listening: bool = False) -> list[str]:
    """Those of all plugins but the ones of listeners, which change nothing that is learned; or just these."""
    files = [file for folder in brought_folders("experiments") for file in sorted(folder.glob("*.yaml"))]
    return sorted({file.stem for file in files if ("listeners" in (content_of(file) or {})) is listening})


def question(names: list[str], seeds: int, steps: int) -> list[str]:
    """The overrides of the ablation; of slow ones without tuning."""
    slow = set(names) <= set(SLOW)
    tune = [] if slow else [f"tune=train.learningRate={RATES}"]
    arms = [f"+experiment={name}" for name in names]
    return [
        f"+experiment={BASELINE}",
        f"train.numSteps={steps // SHORT if slow else steps}",
        "train.evalEvery=0",
        "samples.n=0",
        "tracking=none",
        f"arms=[{', '.join(arms if slow else [ADAM, *arms])}]",
        *tune,
        f"seeds={FEW if slow else seeds}",
        f"epsilon={EPSILON}",
    ]


def table(found: Ablation, times: dict[str, float], more: list[list[str]] | None = None) -> str:
    """more: rows at its end."""
    tuning = found.baselineTuning
    best = "" if tuning is None else rate(tuning)
    base = [f"`{BASELINE}`", *[""] * 4, best, "", *of_runs(BASELINE, found.baseline, times)]
    rows = [HEADERS, ["---"] * len(HEADERS), *rows_of(found, times), base, *(more or [])]
    if not times:
        rows = [
            [cell for head, cell in zip(HEADERS, row, strict=True) if head != "step time"] for row in rows
        ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def rows_of(found: Ablation, times: dict[str, float]) -> list[list[str]]:
    """The arms, best first."""
    digits, tuned = digits_of(found), found.baselineTuning is not None
    return [
        [
            f"`{arm.name}`",
            verdict_words(arm.comparison, found.epsilon),
            difference(arm.comparison, digits) if tuned else "not tuned",
            p_text(arm.comparison.p),
            str(arm.comparison.seeds),
            rate(arm.tuning) if tuned else "",
            difference(arm.untuned or arm.comparison, digits),
            *of_runs(arm.name, arm.setting, times),
        ]
        for arm in ranked(found.arms)
    ]


def difference(comparison: Comparison, digits: int) -> str:
    if comparison.difference is None:
        return comparison.verdict
    return (
        f"{signed(comparison.difference, digits)} ({interval_text(comparison.low, comparison.high, digits)})"
    )


def rate(tuning: Tuning | None) -> str:
    if tuning is None or not tuning.best:
        return "none works"
    return " ".join(tuning.best.values()) + (" (at the edge)" if tuning.edge else "")


def of_runs(name: str, setting: Setting, times: dict[str, float]) -> list[str]:
    """The mean loss, the time of a step beside the baseline's, and the parameters."""
    losses = list(setting.losses.values())
    mean = number_text(sum(losses) / len(losses) if losses else None)
    time = f"{times[name] / times[BASELINE]:.2f}x" if name in times else ""
    return [mean, time, f"{setting.costs.parameters:,}"]


def step_times(names: list[str]) -> dict[str, float]:
    """Seconds, by name: the quickest of what was logged, in turns, so that a machine that is busy slows all alike."""
    found: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name in (BASELINE, *names):
            # A document's length of one step says nothing of the next: at the mean of all.
            tokens, rates = (
                logged(name).metrics[f"train/{what}"].values for what in ("tokens", "tokensPerSecond")
            )
            found.setdefault(name, []).append(float(np.mean(tokens)) / float(np.max(rates)))
    return {name: min(times) for name, times in found.items()}


def logged(name: str) -> Loaded:
    quiet = ["tracking=none", "progress=none", "samples.n=0", "train.evalEvery=0", "listeners=[]"]
    return gptlab.train(f"+experiment={name}", "train.numSteps=500", *quiet)


def page(found: Ablation, steps: int, times: dict[str, float], slow: Ablation | None = None) -> str:
    """What stands between the markers. slow: of those that are not tuned."""
    rest = [""] * (len(HEADERS) - 2)
    idle = [[f"`{name}`", "changes nothing", *rest] for name in experiments(listening=True)]
    lines = [
        f"{steps:,} steps, rates {RATES.replace(',', ', ')}; at most {found.seeds} seeds, looked at after "
        f"{', '.join(map(str, found.looks))}; Python {platform.python_version()}, {platform.machine()}. "
        + noise_line(found.noise).capitalize(),
        table(found, times, idle),
        *[note for note in found.notes if "at the edge" not in note],  # which the table has
    ]
    if slow is not None:
        said = f"Not tuned, and for {steps // SHORT:,} steps, since each takes so long; {slow.seeds} seeds:"
        lines += [said, table(slow, times)]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="experiments; by default those of all plugins")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--folder", type=Path, help="where the runs are kept")
    options = parser.parse_args()
    here, names = Path.cwd(), options.names or experiments()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(options.folder or place)
        try:
            found = [
                gptlab.ablate(*question(some, options.seeds, options.steps))
                for some in ([n for n in names if n not in SLOW], [n for n in names if n in SLOW])
                if some
            ]
            times = step_times(names)
        finally:
            os.chdir(here)
    measured = page(found[0], options.steps, times, *found[1:])
    print(measured)
    if not options.names:
        put_into(PAGE, measured)


if __name__ == "__main__":
    main()
