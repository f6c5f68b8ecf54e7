"""What a sweep showed, made of its jobs' records alone: a text, a table, a page, pictures, and the best job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptlab.files import write_bytes
from gptlab.runs.files import SWEEP_PAGE
from gptlab.sweeps.by_key import by_key
from gptlab.sweeps.by_parameters import (
    PowerLaw,
    best_of_sizes,
    by_parameters,
    fit_power_law,
    law_sentence,
    more_than_sizes,
    rates_of_each,
)
from gptlab.sweeps.comparable import other_counts, other_data
from gptlab.sweeps.curves import COLOURED, curves_of_jobs
from gptlab.sweeps.groups import Best, Group, best_of, groups_over_seeds, verdict
from gptlab.sweeps.page import Shown, page
from gptlab.sweeps.record import BEST, JobRecord
from gptlab.sweeps.style import drawing
from gptlab.sweeps.table import (
    CSV,
    SHOWN,
    as_csv,
    as_mlflow,
    counts,
    failures,
    printed,
    printed_groups,
)
from gptlab.sweeps.values import SEED, distinct, file_name, labels, spelled_alike, swept_values

LOSSES, BY_PARAMETERS = "losses.png", "by-parameters.png"


@dataclass(frozen=True)
class Summary:
    """text: what is printed. files: by name, each the whole content. table: the jobs as
    `mlflow.log_table` keeps them. best: None if no job has finished. said: what is said of it."""

    text: str
    files: dict[str, bytes]
    table: dict[str, list[Any]]
    best: Best | None
    said: str = ""


def summarize(folder: Path, records: Sequence[JobRecord], name: str = "") -> Summary:
    """The summary of a sweep's jobs; its files are written into `folder` too.

    name: what the sweep is called. Raises OSError if the files cannot be written.
    """
    records = spelled_alike(records)
    swept = swept_values(records)
    best = best_of(records, list(swept))
    said = "" if best is None else best.sentence(measured(records))
    sizes = best_of_sizes(records, list(swept))
    refusal = more_than_sizes(swept)
    law = None if refusal else fit_power_law(sizes)
    law_said = law_sentence(sizes, law, refusal, rates_of_each(records))
    drawn = pictures(records, swept, sizes, law, name, best)
    groups = groups_over_seeds(records, list(swept)) if SEED in swept else []
    shown = Shown(
        name=name,
        swept=swept,
        best=best,
        said=said,
        measure=measured(records),
        groups=groups,
        verdict=verdict(groups),
        notes=[*remarks(records, swept, law_said), *failures(records)],
        pictures={f"the loss by {file}": png for file, png in drawn.items() if file != LOSSES},
    )
    files = {CSV: as_csv(records), SWEEP_PAGE: page(folder, records, shown).encode("utf-8"), **drawn}
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        write_bytes(folder / file, content)
    text = text_of(records, swept, groups, law_said, name, said)
    return Summary(text, files, as_mlflow(records), best, said)


def text_of(
    records: Sequence[JobRecord],
    swept: dict[str, list[str]],
    groups: Sequence[Group],
    law: str,
    name: str,
    best: str,
) -> str:
    """What is printed: jobs by rank, groups over seeds, what can be said of them, and what failed."""
    paragraphs = [f"{name}: {counts(records)}" if name else counts(records)]
    if records:
        paragraphs.append(printed(records, list(swept), 10 if SEED in swept else SHOWN))
    if groups:
        paragraphs.append("\n".join(filter(None, [printed_groups(groups), verdict(groups)])))
    said = [*remarks(records, swept, law), *failures(records), best]
    paragraphs.append("\n".join(filter(None, said)))
    return "\n\n".join(filter(None, paragraphs))


def remarks(records: Sequence[JobRecord], swept: dict[str, list[str]], law: str) -> list[str]:
    """What is to be known before losses are compared, and how they go with size; empty texts among them."""
    return [repeated(records), law, other_data(swept), other_counts(swept)]


def pictures(
    records: Sequence[JobRecord],
    swept: dict[str, list[str]],
    sizes: Sequence[tuple[int, float]],
    law: PowerLaw | None,
    name: str,
    best: Best | None,
) -> dict[str, bytes]:
    """By file name; those that there is nothing to show in are left out."""
    title = name or "sweep"
    measure = measured(records)
    shown = f"best {COLOURED} of {len(records):,} jobs" if len(records) > COLOURED else f"{len(records)} jobs"
    called = labels(swept)
    with drawing():
        made = {LOSSES: curves_of_jobs(records, f"{title}: {shown}", None if best is None else best.run)}
        for key in swept:
            made[file_name(called[key])] = by_key(records, key, swept, title, measure)
        made[BY_PARAMETERS] = by_parameters(records, sizes, law, title, measure)
    return {file: content for file, content in made.items() if content}


def measured(records: Sequence[JobRecord]) -> str:
    """What the score of these jobs is."""
    if any(record.valLoss is not None for record in records):
        return (
            "best validation loss"
            if any(record.rank == BEST for record in records)
            else "last validation loss"
        )
    return "smoothed training loss"


def repeated(records: Sequence[JobRecord]) -> str:
    """That some jobs are the same run again, which says nothing new; empty if none is."""
    count = len(records) - len(distinct(records))
    if not count:
        return ""
    subject = "1 job repeats" if count == 1 else f"{count:,} jobs repeat"
    return f"{subject} the config and seed of another: equal runs count once, in means, spreads and n."
