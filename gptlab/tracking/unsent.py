"""`unsent.jsonl`: what a run's folder keeps of what its MLflow store could not be told.

A line that says which run of which store, then a line for each batch of metrics and each other write.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.tracking.writes import Write

UNSENT = "unsent.jsonl"
FORMAT = 1
ROWS_A_LINE = 1000

Point = tuple[str, float, int, int]  # a metric's key, value, time (milliseconds since 1970) and step


@dataclass
class Unsent:
    """`head`: what `Recorder` needs to go on: store, experiment, run, process, command, began."""

    head: dict[str, Any]
    points: list[Point] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)


def keep(folder: Path, unsent: Unsent) -> None:
    """Write the file whole, readable to its owner only: an address may hold a password."""
    beside = folder / f".{UNSENT}.{os.getpid()}.part"
    try:
        with open(
            os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
        ) as file:
            for line in _lines(unsent):
                file.write(strict_json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, folder / UNSENT)
    finally:
        beside.unlink(missing_ok=True)


def _lines(unsent: Unsent) -> Iterable[Any]:
    yield {"format": FORMAT, **unsent.head}
    for first in range(0, len(unsent.points), ROWS_A_LINE):
        yield {"points": unsent.points[first : first + ROWS_A_LINE]}
    yield from unsent.writes


def kept(folder: Path) -> Unsent | None:
    """What `keep` wrote; None if there is nothing. Raises UserError for a file that it did not write."""
    path = folder / UNSENT
    try:
        first, *rest = [strict_json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if first.pop("format") != FORMAT:
            raise ValueError("its format is another")
        points = [
            (str(k), float(v), int(t), int(s)) for line in rest for k, v, t, s in line.get("points", [])
        ]
        return Unsent(first, points, [line for line in rest if "points" not in line])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} must be as gptlab wrote it, and is not ({error}). Move it away.") from None
