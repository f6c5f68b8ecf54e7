"""A result as a section of a page in Markdown, as docs/gallery.md has one for each entry."""

from __future__ import annotations

from gptlab.gallery.entry import Entry
from gptlab.gallery.quantities import WORDS
from gptlab.gallery.result import Result
from gptlab.gallery.telling import interval, number, verdict_line


def heading(entry: Entry) -> str:
    """What the entry alone says."""
    return f"""## {entry.name}

{entry.claim} ({entry.source})

<!-- not run (it takes minutes) -->
```
python -m gptlab gallery {entry.name}
```
"""


def section(result: Result, picture: str) -> str:
    """picture: its path, from the page."""
    rows = [
        f"| {one.claim.says} | {number(one.value)} | {interval(one)} | {one.claim.expected} | {WORDS[one.state]} |"
        for one in result.found
    ]
    verdict, _, rest = verdict_line(result).partition(": ")
    parts = [
        heading(result.entry),
        "\n".join(["| claim | found | 95% interval | expected | |", "|---|---|---|---|---|", *rows]),
        f"**{verdict}**: {rest}." + (f" {result.entry.note}" if result.entry.note else ""),
        f"![{result.entry.name}]({picture})",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"
