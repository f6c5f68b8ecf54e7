"""What was swept: the keys that differ from job to job, and their values as numbers or as names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gptlab.sweeps.record import FAILED, FINISHED, JobRecord
from gptlab.training.metric_rows import loss_text

SEED = "seed"
GROUP_PREFIXES = ("model.", "train.", "optimizer.", "schedule.", "data.", "tokenizer.", "engine.")


def short(key: str) -> str:
    """`nEmbd` for `model.nEmbd`: what a key is called where there is little room."""
    key = key.lstrip("+~").removeprefix("model/")
    for prefix in GROUP_PREFIXES:
        key = key.removeprefix(prefix)
    return key


def shown_value(value: str) -> str:
    """`0.04195` for `0.041945884226982144`, which a sweeper chose: no more digits than tell jobs apart."""
    if len(value) <= 10 or not (found := numbers([value])) or found[0].is_integer():
        return value
    return f"{found[0]:.4g}"


def shown_loss(value: float | None) -> str:
    return "-" if value is None else loss_text(value, 4)


def labels(keys: Iterable[str]) -> dict[str, str]:
    """`{key: short(key)}`; the whole key where two would be called the same."""
    found = {key: short(key) for key in keys}
    called = list(found.values())
    return {key: label if called.count(label) == 1 else key for key, label in found.items()}


def ranked(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Best first; those that were stopped after those that finished, then the diverged, and the failed ones last."""

    def place(record: JobRecord) -> tuple[int, float, int]:
        group = {FINISHED: 0, FAILED: 3}.get(record.status, 1)
        if record.diverged and group == 0:
            group = 2
        return group, math.inf if record.score is None else record.score, record.number

    return sorted(records, key=place)


def finished(records: Iterable[JobRecord]) -> list[JobRecord]:
    """Those that went to their end, have a loss and did not diverge: what means, curves and fits are made of."""
    return [r for r in records if r.status == FINISHED and r.score is not None and not r.diverged]


def is_lost(record: JobRecord) -> bool:
    """True for one whose training broke down; not for one that was stopped, or that could not begin."""
    return bool(record.diverged) or (record.status == FAILED and not record.refused)


def distinct(records: Iterable[JobRecord]) -> list[JobRecord]:
    """One record for each config and seed: equal runs are one sample, however often they were run.

    Of equal ones the first that went to its end, else the first.
    """
    records = list(records)
    good = set(map(id, finished(records)))
    found: dict[tuple[tuple[str, str], ...], JobRecord] = {}
    for record in sorted(records, key=lambda record: (id(record) not in good, record.number)):
        found.setdefault(tuple(sorted(record.overrides.items())), record)
    chosen = set(map(id, found.values()))
    return [record for record in records if id(record) in chosen]


def spelled_alike(records: Iterable[JobRecord]) -> list[JobRecord]:
    """The records with equal numbers written alike, as the first of them is: `0.01`, `1e-2`."""
    first: dict[tuple[str, str | float], str] = {}

    def spelled(key: str, value: str) -> str:
        found = numbers([value])
        return first.setdefault((key, value if found is None else found[0]), value)

    return [
        replace(record, overrides={key: spelled(key, value) for key, value in record.overrides.items()})
        for record in records
    ]


def swept_values(records: Sequence[JobRecord]) -> dict[str, list[str]]:
    """`{key: [value, ...]}` for each key with two values or more; numbers ascending, names as they come."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        for key, value in record.overrides.items():
            values.setdefault(key, {})[value] = None
    return {key: in_order(list(found)) for key, found in values.items() if len(found) > 1}


def in_order(values: list[str]) -> list[str]:
    found = numbers(values)
    if found is None:
        return values
    return [value for _, value in sorted(zip(found, values, strict=True))]


def numbers(values: Iterable[str]) -> list[float] | None:
    """The values as finite numbers; None if one of them is a name."""
    try:
        found = [float(value) for value in values]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None


def spans_decades(found: Iterable[float]) -> bool:
    """Whether numbers are read better on a log axis: all above 0, and more than a factor of ten apart."""
    low, high = min(found), max(found)
    return low > 0 and high > 10 * low


def file_name(label: str) -> str:
    return f"by-{re.sub(r'[^A-Za-z0-9._-]+', '-', label).strip('-')}.png"
