"""The notebooks of docs/: each runs from a clean folder, and what is kept in it is what it shows.

A cell tagged `trained` shows what float32 training came to, texts and losses, which another processor's rounding
changes: of it only the kinds of outputs are compared. Of all others the texts are, to the digits that they show.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_output

from gptlab.loaded.loaded import Loaded
from tests.project.notebook import NOTEBOOKS, executed, joined
from tests.repository import ROOT

DOCUMENT = ROOT / "docs/notebook.md"
TUTORIAL = ROOT / "docs/tutorials/from-one-number-to-a-gpt.ipynb"
LARGEST = 300_000  # bytes
TAGS = {"trained", "raises-exception"}
TEXTS = ("text/plain", "text/html", "image/svg+xml")
DECIMAL = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> list[Any]:
    """What a cell shows, apart from what is in it."""
    return [
        (output.output_type, sorted(output.get("data", {})), output.get("ename"))
        for output in joined(cell.outputs)
    ]


def text_of(cell: Any) -> str:
    """All that it shows as text."""
    found = []
    for output in joined(cell.outputs):
        found += [output.get("text", ""), output.get("evalue", "")]
        found += [output.get("data", {}).get(kind, "") for kind in TEXTS]
    return "\n".join(found)


def differences(before: Any, after: Any) -> list[str]:
    """What a cell shows otherwise than before; words and whole numbers must be the same, and decimals nearly."""
    if kinds(before) != kinds(after):
        return ["other kinds of outputs"]
    if "trained" in before.metadata.get("tags", []):
        return []
    texts = text_of(before), text_of(after)
    words = [DECIMAL.sub("#", text).split() for text in texts]
    if words[0] != words[1]:
        return ["other words", *texts]
    numbers = [np.array(DECIMAL.findall(text), dtype=float) for text in texts]
    return [] if np.allclose(*numbers, rtol=1e-3, atol=2e-4) else ["other numbers", *texts]


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs_and_shows_what_it_did(path: Path, tmp_path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    now = executed(path, tmp_path)
    trained = list((tmp_path / "runs").iterdir())
    assert trained and all(len(list((run / "checkpoints").iterdir())) == 1 for run in trained)
    for before, after in zip(code_cells(kept), code_cells(now), strict=True):
        assert differences(before, after) == [], f"{before.source}\nRenew it with: make notebook"


def test_what_a_cell_shows_is_compared_to_its_digits() -> None:
    def shows(text: str, *tags: str, kind: str = "text/plain") -> Any:
        output = new_output("execute_result", {kind: text}, execution_count=1)
        return new_code_cell("it", outputs=[output], metadata={"tags": list(tags)})

    kept = shows("(array([0.7054, 0.2595]), True, 4192)")
    assert differences(kept, shows("(array([0.7055, 0.2595]),  True, 4192)")) == []
    for other in (
        "(array([0.7054, 0.2595]), False, 4192)",
        "(array([0.7154, 0.2595]), True, 4192)",
        "(array([0.7054, 0.2595]), True, 4193)",
        "(array([0.7054]), True, 4192)",
    ):
        assert differences(kept, shows(other)), other
        assert differences(shows("the cat", "trained"), shows(other)) == []
    assert differences(shows("the cat", "trained"), shows("the cat", kind="text/html"))


def test_there_are_the_notebooks_that_the_pages_name() -> None:
    assert {DOCUMENT.with_suffix(".ipynb"), TUTORIAL} <= set(NOTEBOOKS)


@every_notebook
def test_what_is_kept_is_whole_small_and_of_no_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == [
        *range(1, 1 + len(code_cells(notebook)))
    ]
    assert [cell.id for cell in notebook.cells] == [f"cell-{i:02}" for i in range(len(notebook.cells))]
    assert path.stat().st_size < LARGEST
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells), "no times of execution"
    assert {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])} <= TAGS
    # base64 aside: a date, an absolute path, a run's id, speed, where Python is
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text("utf-8"))
    assert (
        re.findall(r"20\d\d-\d\d|[\s\"'(>]/\w+/|\b[0-9a-f]{32}\b|tokens/s\b|tokensPerSecond|\.venv", text)
        == []
    )


@every_notebook
def test_links_lead_somewhere(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    links = [
        link for cell in notebook.cells if cell.cell_type == "markdown" for link in LINK.findall(cell.source)
    ]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_what_can_be_asked_of_a_run_is_documented() -> None:
    text = DOCUMENT.read_text("utf-8")
    named = set(re.findall(r"\brun\.(\w+)", text))
    public = {name for name in vars(Loaded) if not name.startswith("_")}
    public |= {"name", "folder", "step", "source", "definition", "tokenizer"}  # those that __init__ sets
    assert named == public
