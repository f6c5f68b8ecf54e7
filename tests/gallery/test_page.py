"""docs/gallery.md has a section for each entry that says what the entry says, and what came of it."""

import re
from dataclasses import replace

import pytest

from gptlab.gallery.entry import Entry
from gptlab.gallery.finding import entry_files, entry_named
from gptlab.gallery.section import heading
from tests.gallery_page import PAGE, verdict_on
from tests.repository import ROOT


def missing(entry: Entry, page: str) -> list[str]:
    """What the page lacks of the entry."""
    begin = page.find(heading(entry).strip())
    if begin < 0:
        return [f"the section ## {entry.name} as its file has it"]
    text = page[begin:].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    found = [
        f"the claim '{claim.says}', expected {claim.expected}"
        for claim in entry.claims
        if not any(row[0] == claim.says and row[3] == claim.expected for row in rows)
    ]
    found += ["its verdict"] if verdict_on(entry.name, page) is None else []
    found += ["its note"] if entry.note not in text else []
    return found + ([] if f"![{entry.name}](gallery/{entry.name}.svg)" in text else ["its picture"])


@pytest.mark.parametrize("name", entry_files())
def test_each_entry_has_its_section_as_its_file_has_it(name: str) -> None:
    assert missing(entry_named(name), PAGE) == []
    assert (ROOT / "docs/gallery" / f"{name}.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_a_page_that_is_stale_is_found() -> None:
    entry = entry_named("squaredrelu")
    (claim,) = entry.claims
    assert missing(replace(entry, claim="It raises the loss."), PAGE)
    assert missing(replace(entry, claims=(replace(claim, most=-0.01),)), PAGE) == [
        f"the claim '{claim.says}', expected -0.06 to -0.01"
    ]
    assert missing(replace(entry, note="Not at this size."), PAGE) == ["its note"]
    assert missing(entry, PAGE.replace("**reproduced**", "reproduced")) == ["its verdict"]


def test_no_section_is_of_an_entry_that_is_gone() -> None:
    sections = re.findall(r"^## (\w+)$", PAGE, re.M)
    assert set(sections) <= set(entry_files()) and len(sections) == len(set(sections))
