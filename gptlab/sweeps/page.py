"""A sweep as a page: one self-contained HTML file, made of its jobs' records, that is read without scripts as well."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gptlab.drawing.report_page import escaped, note_list, report_page, section, static
from gptlab.runs.folder import SweepFolder
from gptlab.streams import visible
from gptlab.sweeps.groups import Best, Group
from gptlab.sweeps.inline_curves import inline_curves
from gptlab.sweeps.job_links import GPTLAB, side_by_side, text_of
from gptlab.sweeps.job_table import Links, job_table
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.style import cut, number
from gptlab.sweeps.table import SHOWN, counts, duration, group_columns
from gptlab.sweeps.values import ranked, shown_loss, shown_value

ROOM = "gptlab.sweeps"
LINE, CELL = 400, 60
VALUES = 12  # of a key that are told one by one
PICTURES = 4  # of the loss at each value of a key that are on the page
FOOTER = "Written by gptlab. Losses are in nats a token. Links lead to files beside this one."


@dataclass(frozen=True)
class Shown:
    """What a page shows of a sweep. said: the line of the best; verdict: whether the best setting is better than the
    next by more than seeds do; notes: what is to be known beside it, failures among them. pictures: PNGs by title."""

    name: str
    swept: Mapping[str, Sequence[str]]
    best: Best | None
    said: str
    measure: str
    groups: Sequence[Group]
    verdict: str
    notes: Sequence[str]
    pictures: Mapping[str, bytes]


def page(folder: Path, records: Sequence[JobRecord], shown: Shown) -> str:
    """The HTML. Of the folder only the names of what is in it are asked for, and one run's samples."""
    order = ranked(records)
    best = None if shown.best is None else shown.best.run
    runs = [folder / job.folder for job in order]
    text = text_of(runs)
    sections = [
        section("What it shows", "", answer(shown)),
        section("What was swept", "", asked(folder, shown)),
    ]
    if drawn := inline_curves(order, best):
        told = "The best runs are in colour, the one that the answer names is thick, failed ones are dotted."
        sections.append(section("While they train", told, drawn + pictures(shown)))
    if text:
        sections.append(section("Inside the models", "", side_by_side(folder, runs, text)))
    if order:
        links = Links(folder, text)
        told = "Best first. Click a column's head to sort by it."
        sections.append(section("The jobs", told, job_table(order, shown.swept, best, links)))
    title = told_line(shown.name or "sweep")
    return report_page(
        title, facts(order, shown), sections, FOOTER, static(ROOM, "page.css"), static(ROOM, "page.js")
    )


def told_line(text: str, length: int = LINE) -> str:
    """A text of a stranger's as it can stand in a line: nothing in it turns the line around."""
    return cut(visible(" ".join(text.split())), length)


def facts(order: Sequence[JobRecord], shown: Shown) -> list[tuple[str, str, str]]:
    """What it is, how much, and what of it."""
    jobs, _, ends = counts(order).partition(" ")
    found = [("jobs", jobs, ends.partition(": ")[2])]
    if shown.best is not None:
        of_group = shown.best.group
        score = shown.best.run.score if of_group is None else of_group.mean
        over = "" if of_group is None else f", mean over {len(of_group.losses)} seeds"
        found.append((shown.measure, shown_loss(score), f"nats{over}"))
    for name, values in (
        ("parameters", [job.parameters for job in order if job.parameters]),
        ("steps", [job.steps for job in order if job.steps]),
    ):
        if values:
            low, high = min(values), max(values)
            found.append((name, number(high) if low == high else f"{number(low)} to {number(high)}", ""))
    return [*found, ("time of all jobs", duration(sum(job.seconds for job in order)), "")]


def answer(shown: Shown) -> str:
    """The best, as it was printed; the settings over seeds, and whether they can be told apart; what else to know."""
    best = (
        f'<p class="answer">{escaped(told_line(shown.said))}</p>'
        if shown.said
        else "<p>No job has finished.</p>"
    )
    over_seeds = group_table(shown.groups) if shown.groups else ""
    verdict = f'<p class="soft">{escaped(told_line(shown.verdict, 1000))}</p>' if shown.verdict else ""
    return best + verdict + over_seeds + note_list(told_line(note, 1000) for note in shown.notes if note)


def group_table(groups: Sequence[Group]) -> str:
    columns = group_columns(groups)
    head = "".join(f"<th>{escaped(told_line(head, CELL))}</th>" for head, _ in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escaped(told_line(cell, CELL))}</td>' for cell in row)}</tr>"
        for row in zip(*(cells for _, cells in columns), strict=True)
    )
    rest = len(groups) - SHOWN
    more = f'<p class="soft">... and {rest:,} more</p>' if rest > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>{more}'


def asked(folder: Path, shown: Shown) -> str:
    """The keys with their values, and the command."""
    told = []
    for key, values in shown.swept.items():
        some = ", ".join(told_line(shown_value(value), CELL) for value in values[:VALUES])
        more = f", ... ({len(values):,} values)" if len(values) > VALUES else ""
        told.append(f"<dt>{escaped(told_line(key, 80))}</dt><dd>{escaped(some + more)}</dd>")
    keys = (
        f'<dl class="was">{"".join(told)}</dl>'
        if told
        else '<p class="soft">Nothing: all jobs have the same config.</p>'
    )
    command = SweepFolder(folder).identity().get("command")
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        return keys
    return keys + f"<pre>{escaped(visible(shlex.join([*GPTLAB, '-m', *command])))}</pre>"


def pictures(shown: Shown) -> str:
    """The loss at each value of a key, as it lies beside the page."""
    found = []
    for title, png in list(shown.pictures.items())[:PICTURES]:
        data = base64.b64encode(png).decode("ascii")
        found.append(
            f'<figure><img alt="{escaped(told_line(title))}" src="data:image/png;base64,{data}"></figure>'
        )
    return f'<div class="curves">{"".join(found)}</div>' if found else ""
