"""A result in words: tables of the measures and of the claims, the verdict; the same as JSON and for MLflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gptlab import strict_json
from gptlab.drawing.table import aligned
from gptlab.gallery.quantities import HOLDS, MISSING, OPEN, WORDS, Found
from gptlab.gallery.result import Result

MOST_BROKEN = 3  # runs that are told one by one


def told(result: Result) -> str:
    """What is printed once all has run."""
    entry = result.entry
    lines = [
        f"{entry.name}: {entry.claim}",
        entry.source,
        "",
        measures_table(result),
        "",
        claims_table(result),
    ]
    if result.broken:
        some = "; ".join(result.broken[:MOST_BROKEN])
        more = f" and {len(result.broken) - MOST_BROKEN} more" if len(result.broken) > MOST_BROKEN else ""
        lines += ["", f"broke down: {some}{more}"]
    if entry.note:
        lines += ["", f"note: {entry.note}"]
    return "\n".join([*lines, "", verdict_line(result)])


def verdict_line(result: Result) -> str:
    """`reproduced: all 2 claims hold (6 seeds)`."""
    held, count = sum(one.state == HOLDS for one in result.found), len(result.found)
    what = f"all {count} claims hold" if held == count else f"{held} of {count} claims hold"
    what = what if count > 1 else ("the claim holds" if held else "the claim does not hold")
    if count == 1 and result.found[0].state in (OPEN, MISSING):
        what = "the claim is open" if result.found[0].state == OPEN else "the claim has no number"
    seeds = f"{len(result.seeds)} seed{'' if len(result.seeds) == 1 else 's'}"
    typed = f", with {' '.join(result.typed)}" if result.typed else ""
    return f"{result.verdict}: {what} ({seeds}{typed})"


def claims_table(result: Result) -> str:
    rows = [
        [one.claim.says, number(one.value), interval(one), one.claim.expected, WORDS[one.state]]
        for one in result.found
    ]
    return aligned(["claim", "found", "95% interval", "expected", ""], rows, left=(0, 4))


def measures_table(result: Result) -> str:
    """A row an arm, and value of the grid; means over seeds, with their standard deviation."""
    grid = result.measured.grid
    measures = result.entry.measures
    headers = ["arm", *([] if grid is None else [short(result.entry.grid.key)]), *measures]  # type: ignore[union-attr]
    rows = []
    for arm in result.entry.arms:
        tables = {name: result.measured.of(arm, name) for name in measures}
        for place in range(1 if grid is None else len(grid)):
            at = [] if grid is None else [f"{grid[place]:g}"]
            rows.append([arm, *at, *(spread(tables[name][place]) for name in measures)])
    words = [f"{name}: {one.words}" for name, one in measures.items()]
    return "\n".join([aligned(headers, rows, left=(0,)), "", f"({'; '.join(words)})"])


def short(key: str) -> str:
    return key.rpartition(".")[2]


def spread(values: np.ndarray) -> str:
    """`2.266 ± 0.010`."""
    known = values[np.isfinite(values)]
    if len(known) < len(values) or len(values) == 1:
        if np.isnan(values).any() or len(values) == 1:
            return number(float(values[0])) if len(values) == 1 else f"{len(values) - len(known)} broke down"
        return f"never by {len(values) - len(known)} of {len(values)}"
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if deviation < 1e-9:
        return number(mean)
    # As many digits as the deviation gives a meaning to.
    places = max(0, 1 - math.floor(math.log10(deviation)))
    return f"{mean:,.{places}f} ± {deviation:.{places}f}"


def interval(found: Found) -> str:
    return "-" if found.low is None or found.high is None else f"{number(found.low)} to {number(found.high)}"


def number(value: float) -> str:
    """Three digits, as a person writes them."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never" if value > 0 else "-never"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def json_text(result: Result) -> str:
    """All numbers, for programs."""
    entry = result.entry
    found: list[dict[str, Any]] = [
        {
            "says": one.claim.says,
            "value": plain(one.value),
            "low": plain(one.low),
            "high": plain(one.high),
            "atLeast": one.claim.least,
            "atMost": one.claim.most,
            "state": one.state,
            "seeds": [plain(value) for value in one.values],
        }
        for one in result.found
    ]
    content = {
        "entry": entry.name,
        "claim": entry.claim,
        "source": entry.source,
        "verdict": result.verdict,
        "reproduced": result.reproduced,
        "seeds": list(result.seeds),
        "typed": list(result.typed),
        "claims": found,
        "grid": None if entry.grid is None else asdict(entry.grid),
        "measures": {
            arm: [[{k: plain(v) for k, v in seed.items()} for seed in seeds] for seeds in places]
            for arm, places in result.measured.numbers.items()
        },
        "broken": list(result.broken),
    }
    return strict_json.dumps(content)


def plain(value: float | None) -> float | str | None:
    """JSON has no infinity, and no NaN."""
    if value is None or math.isfinite(value):
        return value
    return None if math.isnan(value) else "never"


def shown_in_mlflow(result: Result, files: Sequence[str]) -> dict[str, Any]:
    """As `tracking.parent.close_parent` takes it."""
    numbers = {f"claim.{at}": one.value for at, one in enumerate(result.found, 1)}
    tags = {
        f"claim.{at}": f"{one.claim.says}: {number(one.value)} (expected {one.claim.expected}), {WORDS[one.state]}"
        for at, one in enumerate(result.found, 1)
    }
    return {
        "metrics": {name: value for name, value in numbers.items() if math.isfinite(value)},
        "tags": {
            "gallery": result.entry.name,
            "source": result.entry.source,
            "verdict": result.verdict,
            **tags,
        },
        "best": "",
        "files": list(files),
        "table": None,
    }
