"""The verb `ledger`: the comparisons that were made in this folder."""

from __future__ import annotations

from pathlib import Path

from gptlab.calling import as_called, warn
from gptlab.errors import UserError
from gptlab.streams import show

HELP = """\
List every comparison that `ablate` made below ./runs, oldest first: question, verdicts, effects, how to repeat
it.

  python -m gptlab ledger

It includes those without a difference: if you try twenty arms, one of them is better by luck alone.
--json       one JSON object per line instead\
"""


def run(arguments: list[str]) -> int:
    rest = [argument for argument in arguments if argument != "--json"]
    if rest:
        raise UserError(f"ledger takes nothing more: got '{' '.join(rest)}'. Type python -m gptlab ledger.")
    from gptlab.ablation.ledger import ablations_below, entry
    from gptlab.ablation.report.as_json import json_text
    from gptlab.runs.finding import RUNS

    count = 0
    for found in ablations_below(Path(RUNS)):
        if isinstance(found, str):
            warn(found)
            continue
        if rest != arguments:
            show(json_text(found, curves=False))
        else:
            show(as_called(("\n" if count else "") + entry(found)))
        count += 1
    if not count and rest == arguments:
        show(as_called("no comparison has been made here yet. Try python -m gptlab ablate --help"))
    return 0
