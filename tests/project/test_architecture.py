"""docs/architecture.md, held to the tree: its rooms, and the files of its two walks."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.project.imports import MODULES, imports_of
from tests.repository import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = {path.parent.name for path in (ROOT / "gptlab").glob("*/*.py")}
MOST = {"From the key press to the multiplication": 8, "And back, to MLflow": 4}


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def walk(title: str) -> list[Path]:
    """The first file that each step of a walk names."""
    steps = re.findall(r"^\d+\. .*?`(gptlab/[\w/]+\.py)`", section(title), re.MULTILINE)
    return [ROOT / step for step in steps]


def test_the_table_has_each_room_once() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("The rooms"), re.MULTILINE)
    assert rows == sorted(ROOMS)


@pytest.mark.parametrize("title", MOST)
def test_a_walk_is_short_and_its_files_are_there(title: str) -> None:
    files = walk(title)
    assert 1 < len(files) <= MOST[title]
    assert all(file.is_file() for file in files)


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:gptlab|conf|plugins|docs)/[\w/.]*)`", PAGE)
    assert named and all((ROOT / name).exists() for name in named)


def test_each_step_to_the_multiplication_knows_the_next_but_where_a_contract_lies_between() -> None:
    """An engine is handed its model, and a verb is found by its name in the table."""
    names = {path: name for name, path in MODULES.items()}
    files = walk("From the key press to the multiplication")
    loose = {"train.py", "loop.py", "xla_session.py", "gpt.py"}  # what comes next is given to them
    for file, following in pairwise(files):
        if file.name not in loose and following.name != "train.py":
            known = imports_of(file)
            assert names[following] in known or names[following].rpartition(".")[0] in known, file
