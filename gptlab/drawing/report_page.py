"""A report as a page: one self-contained HTML file that asks nobody for anything, light or dark as the screen is.

What came from elsewhere (names, overrides, reasons) goes in through `escaped`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SCRIPTED = "; script-src 'unsafe-inline'"


def report_page(
    title: str,
    facts: Iterable[tuple[str, str, str]],
    sections: Iterable[str],
    footer: str,
    style: str = "",
    script: str = "",
) -> str:
    """The HTML. title, facts and footer are plain texts; sections are markup, as `section` makes them.

    facts: what it is, how much, and what of it. style: beside that of every report. script: of the page itself; without
    one the page may run none.
    """
    parts = {
        "policy": POLICY + (SCRIPTED if script else ""),
        "title": escaped(title),
        "style": static("gptlab.drawing", "report.css") + style,
        "facts": facts_list(facts),
        "sections": "\n".join(sections),
        "footer": escaped(footer),
        "script": f"<script>\n{script}</script>\n" if script else "",
    }
    return placed(static("gptlab.drawing", "report.html"), parts)


def placed(template: str, parts: Mapping[str, str]) -> str:
    """`{{name}}` replaced by the part of that name, in one go: a text that looks like a placeholder stays a text."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def static(package: str, name: str) -> str:
    """A file of a page, which lies in the folder `static` of the package."""
    return (files(package) / "static" / name).read_text(encoding="utf-8")


def escaped(text: str) -> str:
    return html.escape(text)


def section(title: str, intro: str, content: str) -> str:
    """title and content are markup, intro is a plain text."""
    told = f'<p class="intro">{escaped(intro[:1].upper() + intro[1:])}</p>' if intro else ""
    return f"<section><h2>{title}</h2>{told}{content}</section>"


def facts_list(facts: Iterable[tuple[str, str, str]]) -> str:
    return "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)} <small>{escaped(of)}</small></dd></div>"
        for name, value, of in facts
    )


def note_list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f'<ul class="notes">{items}</ul>' if items else ""
