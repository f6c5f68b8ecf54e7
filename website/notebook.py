"""A notebook as a page: its words, its code and what came out, pictures beside the page."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def as_markdown(path: Path) -> tuple[str, dict[str, bytes]]:
    """The page, and its pictures by their names."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(fenced(source, "python"))
        for place, output in enumerate(cell.get("outputs", [])):
            parts.append(shown(output, f"{path.stem}-{number}-{place}", pictures))
    return "\n\n".join(filter(None, parts)) + "\n", pictures


def shown(output: dict[str, object], name: str, pictures: dict[str, bytes]) -> str:
    """One output: its picture, its table, or its text."""
    data = output.get("data") or {}
    assert isinstance(data, dict)
    if "image/png" in data:
        pictures[f"{name}.png"] = base64.b64decode("".join(data["image/png"]))
        return f"![what the cell draws]({name}.png)"
    if "image/svg+xml" in data:
        pictures[f"{name}.svg"] = "".join(data["image/svg+xml"]).encode("utf-8")
        return f"![what the cell draws]({name}.svg)"
    text = output.get("text") or data.get("text/plain") or output.get("traceback") or ""
    joined = "\n".join(text) if output.get("output_type") == "error" else "".join(text)  # type: ignore[arg-type]
    return fenced(ESCAPES.sub("", joined).rstrip(), "text") if joined.strip() else ""


def fenced(text: str, language: str) -> str:
    return f"```{language}\n{text}\n```"
