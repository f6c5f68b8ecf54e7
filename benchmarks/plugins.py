"""Every example plugin against the baseline at the `book` setting, by one ablation: the table of docs/experiments.md.

    python -m benchmarks.plugins [--seeds 12] [--steps 5000] [--folder FOLDER] [NAME ...]

Seeds are paired and rates tuned (docs/ablate.md). Writes the table into docs/experiments.md, between its two markers.
With a folder its runs are kept there and are not trained again, so that a command that died goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from pathlib import Path

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
from gptlab.plugins.discovery import brought_folders

PAGE = Path(__file__).parent.parent / "docs" / "experiments.md"
BASELINE = "book"
RATES = "0.0005,0.001,0.002,0.005,0.01,0.02"
EPSILON = 0.02
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
    """The overrides of the ablation."""
    return [
        f"+experiment={BASELINE}",
        f"train.numSteps={steps}",
        "train.evalEvery=0",
        "samples.n=0",
        "tracking=none",
        f"arms=[{', '.join([ADAM, *(f'+experiment={name}' for name in names)])}]",
        f"tune=train.learningRate={RATES}",
        f"seeds={seeds}",
        f"epsilon={EPSILON}",
    ]


def table(found: Ablation) -> str:
    rows = [HEADERS, ["---"] * len(HEADERS)]
    digits, base = digits_of(found), found.baseline
    for arm in ranked(found.arms):
        comparison = arm.comparison
        rows.append(
            [
                f"`{arm.name}`",
                verdict_words(comparison, found.epsilon),
                difference(comparison, digits),
                p_text(comparison.p),
                str(comparison.seeds),
                rate(arm.tuning),
                "" if arm.untuned is None else difference(arm.untuned, digits),
                *of_runs(arm.setting, base),
            ]
        )
    rows.append([f"`{BASELINE}`", "", "", "", "", rate(found.baselineTuning), "", *of_runs(base, base)])
    rest = len(HEADERS) - 2
    rows += [[f"`{name}`", "changes nothing", *[""] * rest] for name in experiments(listening=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


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


def of_runs(setting: Setting, base: Setting) -> list[str]:
    """The mean loss, the time of a step beside the baseline's, and the parameters."""
    losses = list(setting.losses.values())
    mean = number_text(sum(losses) / len(losses) if losses else None)
    times = setting.costs.seconds, base.costs.seconds
    return [mean, f"{times[0] / times[1]:.2f}x" if all(times) else "", f"{setting.costs.parameters:,}"]


def page(found: Ablation, steps: int) -> str:
    """What stands between the markers."""
    edges = [note for note in found.notes if "at the edge" not in note]  # which the table has
    lines = [
        f"{steps:,} steps, rates {RATES.replace(',', ', ')}; at most {found.seeds} seeds, looked at after "
        f"{', '.join(map(str, found.looks))}; Python {platform.python_version()}, {platform.machine()}. "
        + noise_line(found.noise).capitalize(),
        table(found),
        *edges,
    ]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="experiments; by default those of all plugins")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--folder", type=Path, help="where the runs are kept")
    options = parser.parse_args()
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(options.folder or place)
        try:
            found = gptlab.ablate(
                *question(options.names or experiments(), options.seeds, options.steps),
            )
        finally:
            os.chdir(here)
    measured = page(found, options.steps)
    print(measured)
    if not options.names:
        put_into(PAGE, measured)


if __name__ == "__main__":
    main()
