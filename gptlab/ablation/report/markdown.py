"""An ablation as Markdown, ready for a paper, an issue or a pull request on GitHub."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gptlab.ablation.report.laws import Laws, law_lines
from gptlab.ablation.report.repeating import command, facts, method
from gptlab.ablation.report.tables import Table, costs, failure_lines, ranked, sizes, tuned, verdicts
from gptlab.ablation.report.terminal import state
from gptlab.ablation.report.words import noise_line, one_line, sentence, speedup_sentence
from gptlab.ablation.result import Ablation

LINE = 400


def markdown(ablation: Ablation, laws: Mapping[str, Laws] | None = None) -> str:
    """The whole report, with an end of line."""
    arms = ranked(ablation.arms)
    said = [
        f"- {sentence(ablation, arm, code)} {speedup_sentence(arm.speedup, arm.comparison.verdict)}".rstrip()
        for arm in arms
    ]
    told = [f"- {escaped(one_line(note, LINE))}" for note in ablation.notes]
    told += [f"- {code(line)}" for line in failure_lines(ablation)]
    noise = noise_line(ablation.noise).removeprefix("noise: ")
    tables = {
        "Each at its own best, and at the baseline's setting": tuned(ablation),
        "At each size": sizes(ablation),
    }
    others = [
        f"### {title}\n\n{table_of(one.without_bars())}" for title, one in tables.items() if one is not None
    ]
    parts = [
        f"## {escaped(one_line(ablation.question, LINE))}",
        escaped(state(ablation)),
        "\n".join(said),
        noise[:1].upper() + noise[1:],
        table_of(verdicts(ablation).without_bars()),
        table_of(costs(ablation)),
        *others,
        "\n".join(f"- {escaped(line)}" for line in law_lines(laws)),
        "\n".join(told),
        f"**Method.** {method(ablation)}",
        f"To repeat it:\n\n{fenced(command(ablation))}",
        table_of(Table(["what", "was"], [list(fact) for fact in facts(ablation)], (0, 1)), coded=1),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def table_of(table: Table, coded: int = 0) -> str:
    """A GitHub table. coded: the column that stands as code; other texts are escaped."""

    def cell(i: int, text: str) -> str:
        return code(text).replace("|", r"\|") if i == coded else escaped(text) if i in table.left else text

    rules = ["---" if i in table.left else "---:" for i in range(len(table.headers))]
    rows = [[cell(i, text) for i, text in enumerate(row)] for row in table.rows]
    lines = [table.headers, rules, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """A stranger's text as code: nothing in it is markup, or the name of a person."""
    return f"`{text.replace('`', chr(39)).strip() or ' '}`"


def escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|~@$&])", r"\\\1", text)


def fenced(text: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}bash\n{text}\n{fence}"
