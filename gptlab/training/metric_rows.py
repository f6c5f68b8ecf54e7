"""metrics.jsonl: a line a logged step, `{"step": 10, "train/loss": 2.5}`; what is no number is named, as `"NaN"`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from gptlab.strict_json import name_of

Metrics = list[tuple[int, dict[str, float]]]


def line_of(step: int, metrics: dict[str, float]) -> str:
    """A row, with its end of line."""
    row = {name: value if math.isfinite(value) else name_of(value) for name, value in metrics.items()}
    return json.dumps({"step": step, **row}, allow_nan=False) + "\n"


def rows_in(path: Path) -> Metrics:
    """The rows of a file, those that an earlier gptlab wrote as well; [] if there is none.

    What is no row is left out: a last line may have been cut off.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return []
    rows: Metrics = []
    for line in lines:
        try:
            row: dict[str, Any] = json.loads(line)
            rows.append((int(row.pop("step")), {name: float(value) for name, value in row.items()}))
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return rows
