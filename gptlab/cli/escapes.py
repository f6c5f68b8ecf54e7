r"""Line ends in a text that is typed: bash passes `prompt="\n"` as a backslash and an n."""

from __future__ import annotations

import re

MEANT = {"n": "\n", "t": "\t", "\\": "\\"}
ESCAPE = re.compile(r"\\([nt\\])")


def with_line_ends(text: str) -> str:
    r"""The text with what `\n`, `\t` and `\\` stand for; a backslash before anything else is one."""
    return ESCAPE.sub(lambda found: MEANT[found[1]], text)
