"""The tests themselves: a folder for each room, none leans on another, and they hold gptlab to what it shows."""

import ast
import re
from contextlib import suppress

import pytest

from tests.project.imports import PACKAGE
from tests.repository import ROOT

FILES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "tests").rglob("*.py"))}
BESIDE = {"examples", "project"}  # what is about the plugins in plugins/, and about the project as a whole
# By its whole name, wherever that stands; by the folder that it lies in; by its own name.
IMPORTED = re.compile(
    r"\btests(?:\.\w+)*\.test_\w+|^\s*from tests[\w.]* import (?:.*\W)?test_\w+|^\s*(?:from|import) test_\w+",
    re.M,
)
# Less what Python, IPython and Hydra say is for others: _repr_html_, _target_.
PRIVATE = re.compile(r"_[a-z]\w*(?<!_)")
PATCHES = {"setattr", "delattr", "getattr", "object", "patch"}


def private_uses(source: str) -> set[str]:
    """What a program reads, sets or patches of the private names of others; also one that stands in a text of it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls" | "os" | "sys")):
                pass  # one's own, and os._exit
            case ast.Attribute(attr=name):
                found.add(name)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "gptlab":
                found |= {alias.name for alias in node.names}
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in PATCHES:
                texts = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                found |= {text.rpartition(".")[2] for text in texts if isinstance(text, str)}
            case ast.Constant(value=str(text)) if "\n" in text:
                with suppress(SyntaxError):
                    found |= private_uses(text)
    return {name for name in found if PRIVATE.fullmatch(name)}


def test_each_folder_is_that_of_a_room() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    folders = {name.split("/")[1] for name in FILES if name.count("/") > 1}
    assert folders <= rooms | BESIDE
    assert {"autograd", "runs", "tracking"} <= folders


def test_no_test_file_is_imported() -> None:
    # What more than one of them uses is a fixture of a conftest.py, or lies in a module of helpers.
    found = {name: IMPORTED.findall(path.read_text("utf-8")) for name, path in FILES.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from tests.runs.{}finding import train",
        "    from tests.runs import killing, {}finding",
        "import tests.runs.{}finding as finding",
        "    from {}finding import train",
        'monkeypatch.setattr("tests.runs.{}finding.train", 1)',
    ],
)
def test_an_import_of_a_test_file_is_found(line: str) -> None:
    assert IMPORTED.findall("import json\n" + line.format("test_") + "\n")
    assert not IMPORTED.findall("import json\n" + line.format("") + "\n")


@pytest.mark.slow
def test_nothing_private_is_patched_or_read() -> None:
    found = {name: private_uses(path.read_text("utf-8")) for name, path in FILES.items()}
    assert {name: uses for name, uses in found.items() if uses} == {}


@pytest.mark.parametrize(
    "line",
    [
        'monkeypatch.setattr(job, "{}name", None)',
        'monkeypatch.setattr("gptlab.sweeps.job.{}name", None)',
        'with patch.object(Job, "{}name"): pass',
        "job.{}name = None",
        "assert tracker.link.{}name is None",
        "from gptlab.sweeps.job import Job, {}name",
        "SCRIPT = 'job.{}name = None' '\\n'",
    ],
)
def test_a_private_name_is_found(line: str) -> None:
    assert private_uses(line.format("_")) == {"_name"}
    assert private_uses(line.format("")) == set()


def test_what_is_one_s_own_or_anybody_s_is_not_private() -> None:
    assert (
        private_uses("self._name = 1; os._exit(0); run._repr_html_(); config._target_; x.__dict__; _name()")
        == set()
    )
