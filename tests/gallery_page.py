"""What docs/gallery.md says of an entry, for tests."""

import re

from tests.repository import ROOT

PAGE = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")


def verdict_on(name: str, page: str = PAGE) -> str | None:
    """`reproduced` or `not reproduced`; None if the page says neither."""
    _, _, text = page.partition(f"\n## {name}\n")
    found = re.search(r"^\*\*(reproduced|not reproduced)\*\*: ", text.partition("\n## ")[0], re.M)
    return None if found is None else found[1]
