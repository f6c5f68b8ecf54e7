"""Each entry of the gallery, run: its verdict is that of the page."""

import json
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.gallery.finding import entry_files, entry_named
from tests.gallery_page import verdict_on


@pytest.mark.slow
@pytest.mark.first
@pytest.mark.usefixtures("optimized")  # thousands of steps, and numbers that are told
@pytest.mark.parametrize("name", entry_files())
def test_the_verdict_is_that_of_the_page(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    status = main(["gallery", name, *entry_named(name).quick, "tracking=none", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == verdict_on(name), told["claims"]
    assert status == (0 if told["reproduced"] else 1)
    (picture,) = tmp_path.rglob("gallery.svg")
    assert picture.stat().st_size > 1000
