"""The parts of an ablation's page: tables and links, with whatever came from elsewhere escaped."""

from __future__ import annotations

import os
from urllib.parse import quote

from gptlab.ablation.report.tables import BASELINE, Table, seeds_of
from gptlab.ablation.report.words import NONE, number_text, one_line, values_text
from gptlab.ablation.result import Ablation, SeedRun, Setting
from gptlab.drawing.report_page import escaped

VERDICTS = ("better", "worse", "equivalent", "undecided", "failed")
LINE = 400


def table_of(table: Table) -> str:
    """The first column is of names; a verdict has its colour."""

    def cell(i: int, text: str) -> str:
        classes = ["text"] if i in table.left else []
        if i == 0:
            classes.append("name")
        elif i in table.left and (word := text.partition(" ")[0].rstrip(":")) in VERDICTS:
            classes.append(word)
        return f'<td class="{" ".join(classes)}">{escaped(text)}</td>'

    heads = "".join(
        f"<th{' class=text' if i in table.left else ''}>{escaped(header)}</th>"
        for i, header in enumerate(table.headers)
    )
    rows = "".join(
        f"<tr{' class=baseline' if row[0] == BASELINE else ''}>{''.join(map(cell, range(len(row)), row))}</tr>"
        for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def run_tables(ablation: Ablation) -> str:
    """For the baseline and each arm a list of its runs, to be opened."""
    return "".join(
        f"<details><summary>{escaped(one_line(name))}: {seeds_of(setting)} seeds"
        f"{tuned_to(setting)}</summary>{runs_of(setting, ablation.folder)}</details>"
        for name, setting in ablation.settings
    )


def tuned_to(setting: Setting) -> str:
    return f", {escaped(values_text(setting.tuned))}" if setting.tuned else ""


def runs_of(setting: Setting, folder: str) -> str:
    heads = "<th>seed</th><th>loss</th><th class=text>run</th><th class=text>MLflow run</th><th class=text>status</th>"
    rows = "".join(
        f"<tr><td>{run.seed}</td><td>{number_text(run.loss, 4)}</td>"
        f'<td class=text><a href="{link(run.folder, folder)}">{escaped(one_line(run.folder, 80))}</a></td>'
        f"<td class=text><code>{escaped(one_line(run.runId)) or NONE}</code></td>"
        f'<td class="text long">{escaped(status_of(run))}</td></tr>'
        for run in setting.runs
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def status_of(run: SeedRun) -> str:
    reason = f": {one_line(run.reason, LINE)}" if run.reason else ""
    return f"{one_line(run.status.lower())}{reason}{', there before' if run.reused else ''}"


def link(folder: str, start: str) -> str:
    """The way from the ablation's folder to a run's, as an address that leads nowhere but into folders."""
    way = os.path.relpath(folder or ".", start or ".").replace("\0", "")
    return f"./{quote(way, errors='replace')}/"
