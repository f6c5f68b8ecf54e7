"""A page of its own, shown inside a notebook's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

HEIGHT = 720  # pixels


@dataclass(frozen=True)
class Page:
    """One self-contained HTML page."""

    html: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file, which opens from disk. Raises OSError."""
        file = Path(os.path.expanduser(path))
        file.write_text(self.html, encoding="utf-8")
        return file

    def __repr__(self) -> str:
        return f"<page of {len(self.html.encode()) / 1e3:,.0f} kB; .save(path) writes it>"

    def _repr_html_(self) -> str:
        # In a frame, so that neither page's style reaches the other; and one that may run its own script only.
        frame = f"width:100%;height:{HEIGHT}px;border:1px solid #9aa5b1"
        return f'<iframe sandbox="allow-scripts" style="{frame}" srcdoc="{escape(self.html)}"></iframe>'
