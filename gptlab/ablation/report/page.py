"""An ablation as a page: one self-contained HTML file without scripts that asks nobody for anything."""

from __future__ import annotations

import html
from collections.abc import Mapping

from gptlab.ablation.report.alternatives import alternative
from gptlab.ablation.report.laws import Laws, law_lines
from gptlab.ablation.report.markup import run_tables, table_of
from gptlab.ablation.report.pictures import CURVES, FOREST, RATES, SCALING, inline_svg, pictures
from gptlab.ablation.report.repeating import command, facts, method
from gptlab.ablation.report.tables import costs, failure_lines, ranked, sizes, tuned, verdicts
from gptlab.ablation.report.terminal import state
from gptlab.ablation.report.words import (
    mean_loss,
    noise_line,
    number_text,
    one_line,
    sentence,
    speedup_sentence,
)
from gptlab.ablation.result import Ablation
from gptlab.drawing.report_page import escaped, note_list, report_page, section, static

LINE = 400
FOOTER = (
    "Written by gptlab. Losses are in nats a token, of the last evaluation of each run; a difference is the arm's less "
    "the baseline's of the same seed: below 0 the arm is better."
)
CAPTIONS = {
    FOREST: "Dots are mean differences, bars 95% intervals; what lies within the shaded band counts as no difference.",
    CURVES: "Means over seeds with 95% bands. On the right each run is set against the baseline's of the same seed.",
    RATES: "The mean loss on the seeds of the choice; the value that was chosen is ringed. A cross: it failed there.",
    SCALING: "On the left losses by size, their laws dashed if they could be fitted; on the right paired differences.",
}


def page(ablation: Ablation, laws: Mapping[str, Laws] | None = None) -> str:
    """The HTML of the whole report. laws: of the arms at several sizes, by name."""
    drawn = {
        name: figure(name, inline_svg(picture, name.partition(".")[0], escaped(alternative(ablation, name))))
        for name, picture in pictures(ablation, laws).items()
    }
    first = table_of(verdicts(ablation).without_bars()) + table_of(costs(ablation))
    sections = [
        section("Verdicts", noise_line(ablation.noise).removeprefix("noise: "), said(ablation)),
        section("Differences to the baseline", "", drawn.get(FOREST, "") + first),
    ]
    if (chosen := tuned(ablation)) is not None:
        sections.append(section("Each at its own best", "", drawn.get(RATES, "") + table_of(chosen)))
    if (grown := sizes(ablation)) is not None:
        told = "".join(f'<p class="soft">{escaped(line)}</p>' for line in law_lines(laws))
        told += table_of(grown.without_bars())
        sections.append(section("At other sizes", "", drawn.get(SCALING, "") + told))
    if CURVES in drawn:
        sections.append(section("While they train", "", drawn[CURVES]))
    sections += [
        section("What was run", "", repeated(ablation)),
        section("Every run", "", run_tables(ablation)),
    ]
    return report_page(
        one_line(ablation.question, LINE),
        headline(ablation),
        sections,
        FOOTER,
        style=static("gptlab.ablation.report", "page.css"),
    )


def headline(ablation: Ablation) -> list[tuple[str, str, str]]:
    """What it is, how much, and what of it."""
    loss = number_text(mean_loss(ablation.baseline), 4)
    found = [
        ("baseline", one_line(" ".join(ablation.baselineOverrides)) or "the defaults", f"mean loss {loss}"),
        ("arms", str(len(ablation.arms)), ""),
        ("seeds", str(len(ablation.baseline.runs)), f"of at most {ablation.seeds:,}"),
    ]
    if ablation.noise is not None:
        found.append(("noise over seeds", number_text(ablation.noise.deviation, 4), "nats"))
        found.append(("detectable", number_text(ablation.noise.detectable, 4), "nats, with 80% power"))
    return [*found, ("date", one_line(ablation.date)[:16].replace("T", " "), "")]


def figure(name: str, svg: str) -> str:
    return f"<figure>{svg}<figcaption>{CAPTIONS[name]}</figcaption></figure>"


def said(ablation: Ablation) -> str:
    """A sentence for each arm, best first, with what is to be known beside them."""
    rows = []
    for arm in ranked(ablation.arms):
        verdict = arm.comparison.verdict
        sooner = speedup_sentence(arm.speedup, verdict)
        small = f"<small>{escaped(sooner)}</small>" if sooner else ""
        badge = f'<span class="badge {verdict}">{verdict}</span>'
        told = escaped(sentence(ablation, arm)).replace(" = ", "&nbsp;=&nbsp;")
        rows.append(f"{badge}<p>{told}{small}</p>")
    notes = [state(ablation), *(one_line(note, LINE) for note in ablation.notes), *failure_lines(ablation)]
    return f'<div class="verdicts">{"".join(rows)}</div>{note_list(filter(None, notes))}'


def repeated(ablation: Ablation) -> str:
    was = "".join(f"<dt>{escaped(name)}</dt><dd>{escaped(text)}</dd>" for name, text in facts(ablation))
    changes = {arm.name: one_line(" ".join(arm.overrides), 2000) for arm in ablation.arms}
    arms = "".join(
        f"<dt>{escaped(one_line(name))}</dt><dd><code>{escaped(text)}</code></dd>"
        for name, text in changes.items()
    )
    return (
        f"<pre>{html.escape(command(ablation))}</pre>"
        f'<h3>The arms</h3><dl class="was">{arms}</dl><h3>The circumstances</h3><dl class="was">{was}</dl>'
        f'<h3>The method</h3><p class="soft">{escaped(method(ablation))}</p>'
    )
