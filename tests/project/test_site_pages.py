"""What the site is made of: links between pages, files that are shown, the notebook, the reference; dead links."""

import json
import re
from pathlib import Path

import pytest

from gptlab.runs.files import RUN_FILES, SWEEP_FILES
from tests.repository import ROOT
from website import links, reference
from website.navigation import navigated
from website.notebook import as_markdown
from website.pages import pages

RUN_PAGE = (ROOT / "docs/run-files.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written() -> dict[str, bytes]:
    return pages(ROOT)


@pytest.mark.slow
def test_every_page_of_the_docs_is_on_the_site_and_in_its_navigation(written: dict[str, bytes]) -> None:
    docs = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert docs <= written.keys() and docs <= {*navigated()}
    assert {*navigated()} <= written.keys() | reference.pages().keys()


def test_links_lead_to_pages_or_to_files_that_are_shown(written: dict[str, bytes]) -> None:
    index = written["index.md"].decode()
    assert "](docs/" not in index and "](data.md)" in index
    security = written["security.md"].decode()
    assert "](source/tests/plugins/test_reading.py.md)" in security
    shown = written["source/tests/plugins/test_reading.py.md"].decode()
    assert shown.startswith("# tests/plugins/test_reading.py\n") and "```python\n" in shown
    # What is in a block stays as it is.
    assert "[x](docs/a.md)" in pages_of("```\n[x](docs/a.md)\n```\n")


def pages_of(text: str, tmp: Path = ROOT) -> str:
    from website.pages import Rewriting

    return Rewriting(tmp, tmp, "index.md", {}, {}, set()).text(text)


def test_a_link_to_nothing_is_refused() -> None:
    with pytest.raises(FileNotFoundError, match=r"index.md links to docs/gone.md#a, which is not there"):
        pages_of("[x](docs/gone.md#a)\n")
    assert pages_of("[x](https://hydra.cc) [y](#here)") == "[x](https://hydra.cc) [y](#here)"


def test_a_notebook_is_its_words_its_code_and_what_came_out(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Words"]},
        {
            "cell_type": "code",
            "source": ["1 + 1"],
            "outputs": [
                {"output_type": "execute_result", "data": {"text/plain": ["2"]}},
                {"output_type": "display_data", "data": {"image/png": "aGk=", "text/plain": ["<Figure>"]}},
                {"output_type": "error", "traceback": ["\x1b[31mgptlab: no\x1b[0m"]},
            ],
        },
    ]
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": cells}))
    text, pictures = as_markdown(tmp_path / "n.ipynb")
    assert text.startswith("# Words\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n\n![")
    assert pictures == {"n-1-1.png": b"hi"} and "(n-1-1.png)" in text and "```text\ngptlab: no\n```" in text
    assert "\x1b" not in text and "<Figure>" not in text


def test_the_reference_has_every_key_once_for_each_way(written: dict[str, bytes]) -> None:
    keys = reference.pages()["reference/keys.md"].decode()
    meaning = "the width of the model, numbers that stand for a position between two blocks"
    told = f"#### model.nEmbd {{ #model.nEmbd }}\n\n{meaning}\n\nwhole number, at least 1 · default: `16`\n"
    assert told in keys
    assert keys.count("#### train.learningRate {") == 1
    anchors = re.findall(r"^#+ .*\{ #(\S+) \}$", keys, re.MULTILINE)
    assert len(anchors) == len(set(anchors)) > 200
    assert "`sgd`" in keys and "### model/norm= {" in keys and "## `generate`" in keys
    rows = [line for line in keys.splitlines() if line.startswith("| `")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 5) for row in rows), "a bar ends a cell"


@pytest.mark.parametrize("name", [*RUN_FILES, *SWEEP_FILES])
def test_every_file_of_a_run_and_a_sweep_is_told(name: str) -> None:
    assert f"`{name}`" in RUN_PAGE or f"`{name}/`" in RUN_PAGE or name == "unsent.jsonl"


def test_what_is_wrong_with_a_site_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="stylesheet" href="s.css"><a href="b.html#there">1</a><a href="b.html#gone">2</a>'
        '<a href="gone.html">3</a><a href="https://hydra.cc">4</a><script src="https://cdn.example/x.js"></script>'
        '<a href="#self">5</a><p id="self"><img src="no.png">'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">')
    (tmp_path / "s.css").write_text(
        "@import '//fonts.example/a.css'; a { background: url(data:x) } b { src: url(https://f/y) }"
    )
    assert links.problems(tmp_path) == [
        "a.html loads https://cdn.example/x.js",
        "a.html links to b.html#gone, and that page has no such place",
        "a.html links to gone.html, which is not there",
        "a.html links to no.png, which is not there",
        "s.css loads //fonts.example/a.css",
        "s.css loads https://f/y",
    ]
    assert links.problems(tmp_path / "empty") == ["there is no page"]
