"""docs/notebook.ipynb: it runs from a clean folder, and what is kept in it is what it shows."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from gptlab.loaded.loaded import Loaded
from tests.project.notebook import NOTEBOOK, executed, joined

DOCUMENT = NOTEBOOK.with_suffix(".md")
LARGEST = 300_000  # bytes


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[Any]:
    """What a cell shows, apart from the numbers in it, which may differ in their last digits."""
    return [
        (output.output_type, sorted(output.get("data", {})), output.get("ename"))
        for output in joined(cell.outputs)
    ]


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_did(tmp_path: Path) -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    now = executed(tmp_path)
    assert len(list((tmp_path / "runs/notebook/checkpoints").iterdir())) == 1
    for before, after in zip(code_cells(kept), code_cells(now), strict=True):
        assert kinds(before) == kinds(after), f"{before.source}\nRenew it with: make notebook"


def test_what_is_kept_is_whole_small_and_of_no_machine() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == [
        *range(1, 1 + len(code_cells(notebook)))
    ]
    assert NOTEBOOK.stat().st_size < LARGEST
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells), "no times of execution"
    # base64 aside: a date, an absolute path, a run's id, speed
    text = re.sub(r'"image/png": "[^"]*"', "", NOTEBOOK.read_text("utf-8"))
    assert re.findall(r"20\d\d-\d\d|[\s\"'(>]/\w+/|\b[0-9a-f]{32}\b|tokens/s\b|tokensPerSecond", text) == []


def test_what_can_be_asked_of_a_run_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    named = set(re.findall(r"\brun\.(\w+)", text))
    public = {name for name in vars(Loaded) if not name.startswith("_")}
    public |= {"name", "folder", "step", "source", "definition", "tokenizer"}  # those that __init__ sets
    assert named == public
