"""An ablation in the terminal: the noise, the table, what is to be known beside it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping

from gptlab.ablation.report.bars import bar, scale_of, spaced
from gptlab.ablation.report.laws import Laws, law_lines
from gptlab.ablation.report.tables import (
    BASELINE,
    Table,
    costs,
    failure_lines,
    ranked,
    seeds_of,
    sizes,
    tuned,
    verdicts,
)
from gptlab.ablation.report.words import (
    digits_of,
    interval_text,
    noise_line,
    one_line,
    p_text,
    sentence,
    signed,
    verdict_words,
)
from gptlab.ablation.result import Ablation
from gptlab.drawing.table import PIPED, aligned

NARROW = 15  # columns of a bar where there is little room
LINE = 400  # characters of what is said beside the tables


def terminal(ablation: Ablation, width: int = 0, laws: Mapping[str, Laws] | None = None) -> str:
    """Everything, for a screen of so many columns, by default the one there is. laws: by the arms' names."""
    width = width or (shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPED)
    told = [one_line(note, LINE) for note in ablation.notes] + failure_lines(ablation)
    paragraphs = [
        "\n".join(
            filter(None, [one_line(ablation.question, LINE), state(ablation), noise_line(ablation.noise)])
        ),
        main(ablation, width),
        under("each at its own best, and at the baseline's setting:", tuned(ablation), width),
        under("at each size:", sizes(ablation), width),
        "\n".join(law_lines(laws)),
        "\n".join(told),
        "\n".join(sentence(ablation, arm) for arm in ranked(ablation.arms)),
    ]
    return "\n\n".join(filter(None, paragraphs))


def state(ablation: Ablation) -> str:
    """Empty for one that went to its end."""
    if ablation.status == "FINISHED":
        return ""
    return f"{one_line(ablation.status.lower())}: what follows covers only the runs that there are."


def main(ablation: Ablation, width: int) -> str:
    """One table where it fits, else two, else some lines for each arm."""
    whole, beside = verdicts(ablation), costs(ablation)
    for tables in ([whole.beside(beside)], [whole, beside]):
        drawn = [text(table, len(table.rows)) for table in tables]
        if all(widest(one) <= width for one in drawn):
            return "\n\n".join(drawn)
    return in_lines(ablation)


def text(table: Table, section: int = 0) -> str:
    """section: the row above which there is a gap."""
    return spaced(aligned(table.headers, table.rows, table.left, section))


def under(title: str, table: Table | None, width: int) -> str:
    """A table with a title; without its bars where these have no room."""
    if table is None:
        return ""
    drawn = text(table)
    return f"{title}\n{drawn if widest(drawn) <= width else text(table.without_bars())}"


def widest(drawn: str) -> int:
    return max(map(len, drawn.split("\n")))


def in_lines(ablation: Ablation) -> str:
    """For a narrow screen: an arm a paragraph, best first."""
    arms, digits, beside = ranked(ablation.arms), digits_of(ablation), costs(ablation)
    scale = scale_of([arm.comparison for arm in arms], NARROW)
    found = []
    for arm, row in zip([*arms, None], beside.rows, strict=True):
        if arm is None:
            found += [BASELINE, f"  {seeds_of(ablation.baseline)} seeds"]
        else:
            one = arm.comparison
            interval = interval_text(one.low, one.high, digits)
            found += [
                f"{row[0]}: {verdict_words(one, ablation.epsilon)}",
                f"  {bar(one, scale)}  {signed(one.difference, digits)} ({interval}), p {p_text(one.p)}",
                f"  {seeds_of(arm.setting)} seeds",
            ]
        facts = [f"{header} {cell}" for header, cell in zip(beside.headers[1:], row[1:], strict=True)]
        found[-1] += f", {', '.join(facts[:-3])}"
        found.append(f"  {', '.join(facts[-3:])}")
    return spaced("\n".join(found))
