"""The ledger: every comparison that was made below a folder, the negative ones too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gptlab.ablation.report.as_json import JSON, read_ablation
from gptlab.ablation.report.repeating import command
from gptlab.ablation.report.tables import ranked
from gptlab.ablation.report.words import interval_text, one_line, signed, verdict_words
from gptlab.ablation.result import Ablation
from gptlab.drawing.table import aligned
from gptlab.errors import UserError

HEADERS = ["arm", "verdict", "difference", "95% interval", "seeds"]


def ablations_below(folder: Path) -> Iterator[Ablation | str]:
    """The ablations in the order of their dates; of one that cannot be read, why, at the end."""
    found, wrong = [], []
    for place, folders, files in os.walk(folder):
        folders.sort()
        if JSON in files:
            folders.clear()  # its runs
            try:
                found.append(read_ablation(Path(place)))
            except UserError as error:
                wrong.append(str(error))
    yield from sorted(found, key=lambda ablation: ablation.date)
    yield from wrong


def entry(ablation: Ablation) -> str:
    """One comparison: the question, what came of each arm, and how to repeat it."""
    rows = [
        [
            one_line(arm.name),
            verdict_words(arm.comparison, ablation.epsilon),
            signed(arm.comparison.difference),
            interval_text(arm.comparison.low, arm.comparison.high),
            str(arm.comparison.seeds),
        ]
        for arm in ranked(ablation.arms)
    ]
    stopped = "" if ablation.status == "FINISHED" else f" ({ablation.status.lower()})"
    title = f"{ablation.date[:10]}  {one_line(ablation.question, 200)}{stopped}"
    return "\n".join(
        [title, aligned(HEADERS, rows, {0, 1}), f"repeat: {command(ablation)}", f"report: {ablation.folder}"]
    )
