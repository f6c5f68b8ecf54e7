"""The parts of an ablation's page: tables and links, with whatever came from elsewhere escaped."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from gptlab.ablation.report.tables import BASELINE, Table, seeds_of
from gptlab.ablation.report.words import NONE, number_text, one_line, values_text
from gptlab.ablation.result import Ablation, SeedRun, Setting
from gptlab.drawing.report_page import escaped
from gptlab.runs.inspected import inspection_page, inspections_of
from gptlab.sweeps.job_links import side_by_side, text_of

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
    return beside_each_other(ablation) + "".join(
        f"<details><summary>{escaped(one_line(name))}: {seeds_of(setting)} seeds"
        f"{tuned_to(setting)}</summary>{runs_of(setting, ablation.folder)}</details>"
        for name, setting in ablation.settings
    )


def tuned_to(setting: Setting) -> str:
    return f", {escaped(values_text(setting.tuned))}" if setting.tuned else ""


def runs_of(setting: Setting, folder: str) -> str:
    heads = (
        "<th>seed</th><th>loss</th><th class=text>run</th><th class=text>inspect</th>"
        "<th class=text>MLflow run</th><th class=text>status</th>"
    )
    rows = "".join(
        f"<tr><td>{run.seed}</td><td>{number_text(run.loss, 4)}</td>"
        f'<td class=text><a href="{link(run.folder, folder)}">{escaped(one_line(run.folder, 80))}</a></td>'
        f"<td class=text>{inspection_of(run, folder)}</td>"
        f"<td class=text><code>{escaped(one_line(run.runId)) or NONE}</code></td>"
        f'<td class="text long">{escaped(status_of(run))}</td></tr>'
        for run in setting.runs
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def inspection_of(run: SeedRun, folder: str) -> str:
    """The way to the last inspect page that the run has kept."""
    steps = inspections_of(Path(run.folder or "."))
    if not steps:
        return NONE
    return f'<a href="{link(run.folder, folder)}{inspection_page(steps[-1])}">step {steps[-1]:,}</a>'


def beside_each_other(ablation: Ablation) -> str:
    """How two runs are looked into beside each other; nothing where no run of the ablation's own has weights."""
    own = Path(os.path.normpath(ablation.folder))
    found = [Path(run.folder) for _, setting in ablation.settings for run in setting.runs]
    runs = [run for run in found if own in Path(os.path.normpath(run)).parents]
    text = text_of(runs)
    return side_by_side(own, runs, text) if text else ""


def status_of(run: SeedRun) -> str:
    reason = f": {one_line(run.reason, LINE)}" if run.reason else ""
    return f"{one_line(run.status.lower())}{reason}{', there before' if run.reused else ''}"


def link(folder: str, start: str) -> str:
    """The way from the ablation's folder to a run's, as an address that leads nowhere but into folders."""
    way = os.path.relpath(folder or ".", start or ".").replace("\0", "")
    return f"./{quote(way, errors='replace')}/"
