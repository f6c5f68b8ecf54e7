"""metrics.jsonl: a line a logged step, `{"step": 10, "train/loss": 2.5}`; what is no number is named, as `"NaN"`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from gptlab.files import read_regular
from gptlab.strict_json import name_of

Metrics = list[tuple[int, dict[str, float]]]
MOST_STEPS = (1 << 63) - 1  # that MLflow's stores have room for
AT_ONCE = 1 << 18  # bytes; a row has a few hundred


def line_of(step: int, metrics: dict[str, float]) -> str:
    """A row, with its end of line."""
    row = {name: value if math.isfinite(value) else name_of(value) for name, value in metrics.items()}
    return json.dumps({"step": step, **row}, allow_nan=False) + "\n"


def rows_after(path: Path, offset: int) -> tuple[Metrics, int]:
    """The rows that a file has after so many bytes, a few thousand at most, and where they end.

    A line that has no end yet is left for the next time: it is being written, or was cut off.
    """
    try:
        whole = read_regular(path, offset, AT_ONCE).rpartition(b"\n")
    except OSError:
        return [], offset
    return rows_of(whole[0].decode("utf-8", "replace")), offset + len(whole[0]) + len(whole[1])


def rows_in(path: Path) -> Metrics:
    """The rows of a file, those that an earlier gptlab wrote as well; [] if there is none.

    What is no row is left out: a last line may have been cut off.
    """
    try:
        return rows_of(read_regular(path).decode("utf-8", "replace"))
    except OSError:
        return []


def rows_of(text: str) -> Metrics:
    rows: Metrics = []
    for line in text.split("\n"):
        try:
            row: dict[str, Any] = json.loads(line)
            step = int(row.pop("step"))
            values = {name: float(value) for name, value in row.items()}
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            continue
        if 0 <= step <= MOST_STEPS:
            rows.append((step, values))
    return rows


LARGE = 1e4  # from here on the digits behind the point say nothing, and those before it fill the line


def loss_text(loss: float, digits: int = 3) -> str:
    """`1.823`, `1.7e+21`, `nan`."""
    return f"{loss:.{digits}f}" if abs(loss) < LARGE else f"{loss:.2g}"
