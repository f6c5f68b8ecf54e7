"""An inspection as a page: one self-contained HTML file that opens from disk and asks nobody for anything."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files

from gptlab.inspection.inspection import Inspection
from gptlab.inspection.page_data import numbers

STATIC = files("gptlab.inspection") / "static"
# One script: each file defines functions, the last one calls them.
SCRIPTS = (
    "elements.js",
    "numbers.js",
    "pointing.js",
    "plot.js",
    "words.js",
    "attention.js",
    "attention_map.js",
    "lens.js",
    "norms.js",
    "attributions.js",
    "weights.js",
    "start.js",
)


def page(inspection: Inspection, title: str) -> str:
    """The HTML of everything that can be seen in the inspection. title: what the page is called, plain text."""
    # "<" would be read as markup even in a script, and a NaN is no JSON: `numbers` has none.
    data = json.dumps(numbers(inspection), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "title": html.escape(title),
        "style": static("page.css"),
        "data": data,
        "script": "\n".join(static(name) for name in SCRIPTS),
    }
    # In one go, so that a text that looks like a placeholder stays a text.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], static("page.html"))


def static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
