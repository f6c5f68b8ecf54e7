"""Runs side by side: the config keys that differ, the final numbers, and one picture of their curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gptlab.drawing.table import aligned
from gptlab.sweeps.comparable import other_counts
from gptlab.sweeps.compared import Compared
from gptlab.sweeps.curves import COLOURED, curves_picture, line_of
from gptlab.sweeps.record import JobRecord, state_of
from gptlab.sweeps.style import cut, drawing
from gptlab.sweeps.table import count, duration, failures, first_metric, metric_words
from gptlab.sweeps.values import labels, shown_loss, shown_value

BESIDE = 6  # runs that stand in columns; more are rows
SHOWN = 50
VALUE = 60  # characters of a value that are shown
MISSING = "-"
BRIEFLY = {
    "training loss, smoothed": "train, smoothed",
    "last validation loss": "last val",
    "best validation loss": "best val",
}


def differing(runs: Sequence[Compared]) -> list[str]:
    """The config keys that not all runs have alike, in the order of the configs."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    return [key for key in keys if len({run.config.get(key) for run in runs}) > 1]


def comparison(runs: Sequence[Compared]) -> str:
    """The table; what all runs agree in is only counted."""
    runs, _ = distinctly_named(runs)
    keys = differing(runs)
    shown = runs[:SHOWN] if len(runs) > BESIDE else runs
    numbers = final_numbers([run.record for run in shown])
    if len(runs) > BESIDE:  # columns are dear
        first = first_metric([run.record for run in runs])
        all_of = {metric_words(name) for run in runs for name in run.record.metrics}
        numbers = {
            what: cells for what, cells in numbers.items() if what not in all_of - {metric_words(first)}
        }
    rows = {key: [cut(run.config.get(key, MISSING), VALUE) for run in shown] for key in keys}
    names = [run.record.name for run in shown]
    if len(runs) <= BESIDE:
        lines = [[what, *cells] for what, cells in [*rows.items(), *numbers.items()]]
        text = aligned(["", *names], lines, left={0}, section=len(keys))
    else:
        called = labels(keys)
        columns = {called[key]: cells for key, cells in rows.items()}
        columns |= {BRIEFLY.get(what, what): cells for what, cells in numbers.items()}
        if not all(says_no_more(run, called) for run in shown):
            columns = {"run": names, **columns}
        lines = [list(row) for row in zip(*columns.values(), strict=True)]
        text = aligned(list(columns), lines, left={0} if "run" in columns else set())
    if len(runs) > len(shown):
        text += f"\n... and {len(runs) - len(shown):,} more"
    same = len({key for run in runs for key in run.config} - set(keys))
    counted = f"{same:,} {'key of the config is' if same == 1 else 'keys of the config are'} the same."
    told = counted if keys else "The configs are the same."
    # What a run does not tell is no other value: of a job that was refused only the overrides are known.
    apart = [key for key in keys if len({run.config[key] for run in runs if key in run.config}) > 1]
    said = filter(None, [told, other_counts(apart)])
    return "\n".join([text, "", *said, *failures([run.record for run in runs], where="")])


def says_no_more(run: Compared, called: Mapping[str, str]) -> bool:
    """True if the name only repeats what the columns say."""
    told = {f"{label}={shown_value(run.config.get(key, MISSING))}" for key, label in called.items()}
    return set(run.record.name.split()) <= told


def final_numbers(records: Sequence[JobRecord]) -> Mapping[str, list[str]]:
    """`{what it is: [a run's, ...]}`; rows in which no run has anything are left out."""
    found = {
        "parameters": [count(record.parameters) for record in records],
        "steps": [count(record.steps or None) for record in records],
        "training loss, smoothed": [shown_loss(record.smoothedTrainLoss) for record in records],
        "last validation loss": [shown_loss(record.valLoss) for record in records],
        "best validation loss": [shown_loss(record.bestValLoss) for record in records],
        "at step": [count(record.bestStep) for record in records],
        **{
            metric_words(name): [shown_loss(record.metrics.get(name)) for record in records]
            for name in dict.fromkeys(name for record in records for name in record.metrics)
        },
        "time": [duration(record.seconds) if record.seconds else MISSING for record in records],
        "status": [state_of(record) or MISSING for record in records],
        "MLflow run": [record.runId[:8] or MISSING for record in records],
    }
    return {what: cells for what, cells in found.items() if set(cells) != {MISSING}}


def distinctly_named(runs: Sequence[Compared]) -> tuple[list[Compared], str]:
    """The runs by what their names do not share, and what they do.

    Where that leaves two alike, or nothing, the beginning of the MLflow id, or the folder, follows.
    """
    words = [run.record.name.split() for run in runs]
    shared = [word for word in words[0] if all(word in other for other in words)]
    names = [" ".join(word for word in own if word not in shared) for own in words]
    times = Counter(names)
    told = [run.record.runId[:8] or run.record.folder for run in runs]
    names = [
        name if name and times[name] == 1 else f"{name} ({which})".strip()
        for name, which in zip(names, told, strict=True)
    ]
    renamed = [
        replace(run, record=replace(run.record, name=name)) for run, name in zip(runs, names, strict=True)
    ]
    return renamed, " ".join(shared)


def picture(runs: Sequence[Compared]) -> bytes:
    """The curves as a PNG; empty if no run has any."""
    runs, shared = distinctly_named(runs)
    best = min((run.record.score for run in runs if run.record.score is not None), default=None)
    lines = [line_of(run.record, best is not None and run.record.score == best) for run in runs]
    rest = f", {COLOURED} of them in colour" if len(lines) > COLOURED else ""
    with drawing():
        return curves_picture(lines, f"{shared + ': ' if shared else ''}{len(lines):,} runs{rest}")
