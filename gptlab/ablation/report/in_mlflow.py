"""What the parent run of an ablation shows in MLflow."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gptlab.ablation.report.as_csv import ARM_COLUMNS, arm_rows
from gptlab.ablation.report.bands import loss_bands
from gptlab.ablation.report.tables import ranked
from gptlab.ablation.report.words import mean_loss, noise_line, sentence
from gptlab.ablation.result import Ablation


def shown_in_mlflow(ablation: Ablation, files: Sequence[str]) -> dict[str, Any]:
    """As `tracking.parent.close_parent` takes it; files: the names of those that are logged.

    Beside that `series`: `{name: [(step, value), ...]}`, the groups' mean losses with their bands.
    """
    return {
        "metrics": metrics(ablation),
        "tags": tags(ablation),
        "best": best_run(ablation),
        "files": list(files),
        "table": {"columns": list(ARM_COLUMNS), "data": arm_rows(ablation)},
        "series": series(ablation),
    }


def tags(ablation: Ablation) -> dict[str, str]:
    """The verdict on each arm in a sentence, and what the noise is."""
    found = {"question": ablation.question, "noise": noise_line(ablation.noise)}
    found |= {f"verdict.{arm.name}": sentence(ablation, arm) for arm in ranked(ablation.arms)}
    return {name: text for name, text in found.items() if text}


def metrics(ablation: Ablation) -> dict[str, float]:
    """Group means, differences with their intervals, and how many arms there are of each verdict."""
    found: dict[str, float | None] = {
        f"loss.{name}": mean_loss(setting) for name, setting in ablation.settings
    }
    for arm in ablation.arms:
        one = arm.comparison
        numbers = {"difference": one.difference, "low": one.low, "high": one.high, "p": one.p}
        numbers["speedup"] = arm.speedup.steps
        found |= {f"{what}.{arm.name}": value for what, value in numbers.items()}
    if ablation.noise is not None:
        found |= {"noise.deviation": ablation.noise.deviation, "noise.detectable": ablation.noise.detectable}
    counts = Counter(arm.comparison.verdict for arm in ablation.arms)
    found |= {f"arms.{verdict}": float(count) for verdict, count in counts.items()}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def best_run(ablation: Ablation) -> str:
    """Of the best arm that is better the run nearest to its mean, from the ablation's folder; empty if none is."""
    better = [arm for arm in ranked(ablation.arms) if arm.comparison.verdict == "better"]
    mean = mean_loss(better[0].setting) if better else None
    if mean is None:
        return ""
    runs = [(abs(run.loss - mean), run) for run in better[0].setting.runs if run.loss is not None]
    return os.path.relpath(min(runs, key=lambda pair: pair[0])[1].folder, ablation.folder or ".")


def series(ablation: Ablation) -> dict[str, list[tuple[int, float]]]:
    found = {}
    for name, band in loss_bands(ablation).items():
        for what, values in (("mean", band.means), ("low", band.lows), ("high", band.highs)):
            points = zip(band.steps, values.tolist(), strict=True)
            found[f"val/loss.{what}.{name}"] = [
                (step, value) for step, value in points if math.isfinite(value)
            ]
    return found
